package segment

import (
	"context"
	"iter"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Store keeps segments, the members of static lists, the ordinals of the index, and its lease. All methods may be called
// concurrently. A nil error of a write means committed, and durable as the store is. A context that ends before the
// transaction has begun leaves nothing written. Errors are faults (or the context's error): those named at the methods, and of kind
// Unavailable or Exhausted where the database does not answer or is full; after Close every method fails with Unavailable.
type Store interface {
	// Create stores a new segment and returns it as stored, with the position of the write. ID, UID, DisplayName, Description,
	// Rule or Static, Owner and References (uids; their ids are looked up) are the caller's; the rest is the store's. With
	// checkOnly everything is checked and nothing is stored; the position is the zero one then.
	//
	// Errors: Exists for a taken id; UnknownSegment for a reference to none; Cycle.
	Create(ctx context.Context, s Segment, checkOnly bool) (Segment, Position, error)
	// Get returns the segment with the id. Ids are compared byte by byte. Errors: NotFound.
	Get(ctx context.Context, id string) (Segment, error)
	// List returns at most limit segments whose ids are greater than after ("": all), in the order of their ids' bytes. A
	// segment that is there throughout a walk over the pages is on exactly one of them.
	List(ctx context.Context, after string, limit int) ([]Segment, error)
	// Update changes one segment and returns it as stored. A change that changes nothing takes no revision; the position is then
	// that of the segment's last change or a later one.
	//
	// Errors, in this order: NotFound; Owned; ETagMismatch; NotStatic for a rule of a list; UnknownSegment; Cycle.
	Update(ctx context.Context, c Change) (Segment, Position, error)
	// Delete deletes a segment and its list. as and etag are those of Change. Its revision is the deletion's.
	//
	// Errors, in this order: NotFound; Owned; ETagMismatch; InUse.
	Delete(ctx context.Context, id, etag, as string) (Position, error)

	// ChangeMembers puts profiles on a static list and takes others off, in one write: one version and one revision, none if the
	// list stays the same. A uid in both stays off. At most MaxChange uids together, and MaxMembers on the list unless the store was
	// opened with another limit. The profiles need not exist.
	//
	// Errors, in this order: NotFound; Owned; NotStatic; ListTooLong (nothing is written then).
	ChangeMembers(ctx context.Context, id, as string, add, remove []audience.UID) (Segment, Position, error)
	// Members calls visit with the profiles of a static list, in ascending order, some thousands at a time, and returns the
	// DefinitionRevision that they are the list of: all of one state of the store, which includes every write that was committed
	// before the call. An error of visit ends the walk and is returned. The slice is valid during the call alone.
	//
	// Errors: NotFound if no segment has the uid (it was deleted); a segment with a rule has no members.
	Members(ctx context.Context, uid string, visit func([]audience.UID) error) (definitionRevision uint64, err error)

	// Head returns the position of the newest committed write; Revision 0 before the first.
	Head(ctx context.Context) (Position, error)
	// AllDefinitions returns all segments, sorted by uid, and the position whose state they are: nothing at or below its
	// revision is missing and nothing above it is in.
	AllDefinitions(ctx context.Context) ([]Segment, Position, error)
	// Holds reports whether the store's history contains the position: its incarnation, and the mark with which its revision
	// was committed. Position 0 of the incarnation is always held. The marks of all commits are kept.
	Holds(ctx context.Context, p Position) (bool, error)

	// BeginLayout opens a new numbering of profiles and returns its number, from 1 and greater than that of every layout before,
	// dropped ones included. of says of which life of which profile store the ordinals are: they are worthless for another.
	// Errors: NotLeaseHolder.
	BeginLayout(ctx context.Context, lease Epoch, of ProfileStore) (Layout, error)
	// Layouts returns the layouts that are kept, in ascending order.
	Layouts(ctx context.Context) ([]Layout, error)
	// DropLayout deletes a layout and its ordinals; dropping one that is not there is no error. Errors: NotLeaseHolder.
	DropLayout(ctx context.Context, lease Epoch, layout uint32) error
	// AppendOrdinals stores runs of new ordinals, all or none. Each run begins at the first ordinal of its block that has not
	// been given (0 in a new block), else, or beyond the end of the block, the whole call is refused: ordinals are dense and
	// never given twice. No uid is blank.
	//
	// Errors: NotLeaseHolder; LayoutNotFound; Internal for a run that does not follow.
	AppendOrdinals(ctx context.Context, lease Epoch, layout uint32, runs []OrdinalRun) error
	// BlankOrdinals removes the uids of deleted profiles, all or none. The ordinals stay taken for ever. Blanking twice is no error.
	//
	// Errors: NotLeaseHolder; LayoutNotFound for a layout or ordinal that is not there.
	BlankOrdinals(ctx context.Context, lease Epoch, layout uint32, at []Ordinal) error
	// LoadOrdinals yields the ordinals of a layout as runs, by block and ordinal ascending, as they were appended; blanked ones
	// are zero uids. Runs of one block follow each other without a gap; they may be divided otherwise than when they were
	// appended. All are of one state of the store. An error is yielded once, last. An unknown layout has no runs.
	LoadOrdinals(ctx context.Context, layout uint32) iter.Seq2[OrdinalRun, error]

	// AcquireLease takes the lease if nobody holds it, it has expired by this store's clock, or the same holder has it already
	// (a process that was restarted under its name; two processes must never share a name). Each success has a greater number
	// than all before, also after releases. ttl is how long it lasts unless renewed.
	//
	// Errors: NotLeaseHolder while another holder has it.
	AcquireLease(ctx context.Context, holder string, ttl time.Duration) (Epoch, error)
	// RenewLease lets the lease last ttl from now. A lease that has expired, but that nobody has taken since, is renewed too.
	// Errors: NotLeaseHolder.
	RenewLease(ctx context.Context, lease Epoch, ttl time.Duration) error
	// ReleaseLease ends the lease, so that another holder need not wait; its epoch is refused from then on. Releasing a lease
	// that one does not hold is no error.
	ReleaseLease(ctx context.Context, lease Epoch) error

	// Ping asks the database a question now.
	Ping(ctx context.Context) error
	// Close waits for the writes that have begun. Closing twice is no error.
	Close() error
}

// Change is what Update does. A nil field stays as it is.
type Change struct {
	ID string
	// ETag, if not empty, must be the current one.
	ETag string
	// As is the resource name of the owner on whose word this happens; empty: nobody's.
	As          string
	DisplayName *string
	Description *string
	// Rule is the new text, with References all segments that it names. The same text again is no new version.
	Rule       *string
	References []Reference
	// CheckOnly checks everything and stores nothing; the answer is what would be stored, the position the zero one.
	CheckOnly bool
}

// ProfileStore is one life of one profile store.
type ProfileStore struct {
	// Store is the installation's id.
	Store string
	// Incarnation is the life of the profile store.
	Incarnation string
}

// Layout is one numbering of profiles.
type Layout struct {
	Number uint32
	// Of is the store whose profiles it numbers.
	Of ProfileStore
	// Ordinals is how many were given, blank ones included.
	Ordinals uint64
}

// OrdinalRun is a run of consecutive ordinals of a block with their profiles.
type OrdinalRun struct {
	Block uint32
	// First is the ordinal, within the block, of the first uid.
	First uint32
	UIDs  []audience.UID
}

// Ordinal is one bit position.
type Ordinal struct {
	Block   uint32
	Ordinal uint32
}
