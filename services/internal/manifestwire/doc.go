// Package manifestwire carries the manifest over gRPC: frames of pkg/audience/blocks to the messages of segment.v1's WatchBlocks
// and back, with the source of frames and the refiller that readers of blocks need.
//
// It promises that a frame of any size is carried in messages that stay well below gRPC's limit, and that the frame that comes
// out equals the one that went in. It checks the form of what arrives; whether a frame makes sense is checked by who applies it.
//
// The segment service's WatchBlocks encodes; the campaign service's follower and reader use the source and the refiller.
// Follow puts them together for programs that look at an index for a while, as the doctor does.
package manifestwire
