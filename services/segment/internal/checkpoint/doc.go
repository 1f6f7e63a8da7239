// Package checkpoint keeps the content of an index on disk, so that a restart need not replay all profiles.
//
// It promises that what Load and Block return is what one Commit named, byte for byte: each block has a file of its own with a checksum
// bound to store, layout and block, the manifest names each file with its checksum and has one itself, and it takes the place of the one
// before in one step, after everything that it names is on disk. Anything else, a file that is missing, cut, changed, swapped with another or
// from another commit, is an error, and never content. Files that the newest manifest does not name are removed, so that nothing of a
// deleted profile stays.
//
// It does not say that the content is right, or how old it is: its owner replays what came after the position in the manifest. A lost or
// refused checkpoint costs time alone.
package checkpoint
