package rpc

import (
	"context"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// Index is what the answers need of the index of memberships. All methods may be called concurrently, also before the index has
// read the profiles for the first time and after it has ended; errors are faults with reasons of the segment service's
// contract.
type Index interface {
	// Schema returns the attributes as far as the profiles' changes were read, and the profile store's identity that they are
	// of; nil before the schema has been read for the first time.
	Schema() *audience.Schema
	// Store returns the installation's id and the life of the profile store that the index follows; ok is false before it is
	// known.
	Store() (store, profileIncarnation string, ok bool)

	// SegmentState says how far a segment's rows are built; ok is false while the index does not know the segment yet.
	SegmentState(uid string) (state SegmentState, ok bool)
	// DefinitionsChanged tells the index that definitions were written, so that it reads them again now. It does not wait.
	DefinitionsChanged()

	// Through returns the position that the index reflects as a whole, with its Age as of now (Echo is 0); ok is false before
	// there is one.
	Through() (through blocks.Through, ok bool)
	// WaitPosition returns when Through has reached the position, or with the context's error.
	WaitPosition(ctx context.Context, p blocks.Position) error

	// Preview counts the profiles of whom the predicate is true today. Each Member in it is read as the segment answers now.
	// Every block is judged at one revision, not older than Answer.Through.
	//
	// Errors: INDEX_NOT_READY; SEGMENT_BUILDING for a segment without rows; the faults of audience.Compile.
	Preview(ctx context.Context, p audience.Pred) (Count, error)
	// Breakdown divides the profiles of whom the predicate is true, and everybody, by each dimension on its own. A nil predicate
	// is everybody. Day is set by the index; Values and Bands as audience.Breakdown wants them, where a TextList or Region without
	// Values counts all values.
	//
	// Errors: as Preview.
	Breakdown(ctx context.Context, p audience.Pred, dimensions []audience.Breakdown) (Division, error)

	// Subscribe begins a subscription of the manifest, whose first frame is whole; it waits for frames while the index is
	// built. The caller closes it. Errors: INDEX_NOT_READY before there is a manifest to wait for.
	Subscribe() (*blocks.Subscription, error)
	// Refill writes a block again, whole, and returns the epoch and version under which it is now written. Many calls for one
	// block make one write.
	//
	// Errors: NOT_LEASE_HOLDER; BLOCK_NOT_FOUND if the layout is not the current one or has no such block; STORE_UNAVAILABLE.
	Refill(ctx context.Context, layout, block uint32) (blocks.Epoch, uint64, error)
}

// SegmentState is how far the rows of a segment are built.
type SegmentState struct {
	State blocks.SegmentState
	// Version of the segment's own definition that answers; 0: none does yet.
	Version uint64
	// RuleState is the definition revision of the rule state that answers.
	RuleState uint64
	// DefinitionRevision is the newest definition revision of the segment itself that the index has read: an answer for an
	// older one says nothing of a write that is newer.
	DefinitionRevision uint64
	// Progress is the share of blocks that have the newest definition, in percent.
	Progress int
}

// Answer says what a count was made from.
type Answer struct {
	// Through is the position with which the answer began, with its age then.
	Through blocks.Through
	// Took is what the answer took, for logs.
	Took time.Duration
	// Segments are the states of the segments that the answer used.
	Segments []UsedSegment
	// Blocks is the number of blocks that were evaluated.
	Blocks int
}

// UsedSegment is a segment that an answer used.
type UsedSegment struct {
	// Name is the resource name, "segments/{id}".
	Name    string
	Version uint64
}

// Count is the answer of Preview.
type Count struct {
	Answer
	// Members is how many the predicate is true of, Base how many profiles there are.
	Members, Base uint64
}

// Division is the answer of Breakdown.
type Division struct {
	Answer
	// Members is how many profiles the subject has, Base how many there are.
	Members, Base uint64
	// Subject and Everybody hold one histogram for each dimension, in the order asked for.
	Subject   []audience.Histogram
	Everybody []audience.Histogram
}
