package profile

import (
	"context"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Position is a place in a store's total order of changes: a revision and the mark of the commit that made it.
type Position struct {
	// Revision is dense from 1 and in the order of commits; 0 is before the first change.
	Revision int64
	// Mark is random, stored with the group commit that holds the revision: a store that does not hold it is not, or no
	// longer, the one that gave it.
	Mark []byte
}

// Head is a store's newest committed position.
type Head struct {
	// Store is the installation's id, made at random with the store: 1 to 32 lower-case letters and digits.
	Store string
	// Incarnation is the store's life: a new one begins when it was restored or lost commits.
	Incarnation string
	Position
}

// Outcome says what an upsert did.
type Outcome uint8

// The outcomes.
const (
	Created Outcome = iota + 1
	Updated
	Unchanged
)

// Upserted is the result of upserting one profile.
type Upserted struct {
	UID     audience.UID
	Outcome Outcome
	// Err is why a row of an import was refused; the other fields are then zero. Nil in the results of Upsert.
	Err error
}

// Row is a row on its way into Upsert or Import.
type Row struct {
	// Profile is canonical. A UID of zero is unknown. Nil: the row was refused before it came to the store.
	Profile *Profile
	// Etag, if given, must be that of the profile found.
	Etag string
	// Source is the system that the row comes from; "": not stated.
	Source string
}

// WriteOption says something of a write that most do not say.
type WriteOption func(*WriteOptions)

// WriteOptions are what options of a write say.
type WriteOptions struct {
	// Source is the system that the data come from; "": not stated.
	Source string
}

// From names the system that the data of a write come from. What the write changes is remembered as coming from there.
func From(source string) WriteOption { return func(o *WriteOptions) { o.Source = source } }

// OptionsOf returns what options say together.
func OptionsOf(options []WriteOption) WriteOptions {
	var o WriteOptions
	for _, say := range options {
		say(&o)
	}
	return o
}

// Progress is how far an import has come, over all its streams.
type Progress struct {
	// Through is the number of rows, from the first, that are durable or refused for good.
	Through int64
	// What became of these rows; they add up to Through.
	Created, Updated, Unchanged, Rejected int64
}

// Count adds one row's result: refused where it has no outcome.
func (p *Progress) Count(r Upserted) {
	p.Through++
	switch r.Outcome {
	case Created:
		p.Created++
	case Updated:
		p.Updated++
	case Unchanged:
		p.Unchanged++
	default:
		p.Rejected++
	}
}

// Page is a part of what changed.
type Page struct {
	// Changes are in the order of their revisions, each profile at most once.
	Changes []Change
	// Head is the store's head at the moment of the read.
	Head Head
	// More is true if changes between the last one here and Head were left out. If it is false, whoever has applied the
	// page knows every profile as it was at Head.
	More bool
}

// PageOptions bound a page of changes.
type PageOptions struct {
	// Limit is the most changes, Bytes about how many bytes they may have; a page that is not the last has at least one change.
	Limit, Bytes int
	// WithoutContact leaves names and identifiers out, which then need not be unsealed.
	WithoutContact bool
	// Stored asks for profiles as they are stored, for who passes them on unread.
	Stored bool
}

// Stored is a profile as it is stored.
type Stored struct {
	UID audience.UID
	// CreateTime and UpdateTime are microseconds since 1970.
	CreateTime, UpdateTime int64
	// Body and Contact are in the form of package record; Contact is empty where the profile has none or none was asked for.
	Body, Contact []byte
}

// KeyUse says what is under which key.
type KeyUse struct {
	// PrimaryContact and PrimaryIndex are the ids of the keys that seal and hash now.
	PrimaryContact, PrimaryIndex uint32
	// Contact has how many texts are sealed with each key, Index how many identifiers are hashed with it.
	Contact, Index map[uint32]int64
}

// Remaining is how much is under other keys than the primary ones.
func (u KeyUse) Remaining() int64 {
	var n int64
	for key, count := range u.Contact {
		if key != u.PrimaryContact {
			n += count
		}
	}
	for key, count := range u.Index {
		if key != u.PrimaryIndex {
			n += count
		}
	}
	return n
}

// Change is one change. Exactly one of Profile, Stored, Deleted and Attribute is set.
type Change struct {
	Revision  int64
	Profile   *Profile
	Stored    *Stored
	Deleted   *audience.UID
	Attribute *Attribute
	// MergedInto, beside Deleted, is the profile that the person is now, where the deleted one was merged.
	MergedInto *audience.UID
}

// Store keeps profiles and declarations of attributes. Every method may be called concurrently; a context that ends gives its
// own error. Errors are faults with the reasons of this service; a database that does not answer is Unavailable
// (STORE_UNAVAILABLE), also after Close.
//
// Writes. Each successful write is durable, wholly or not at all, when its method returns; concurrent writes share a commit and
// fail alone. What is changed gets a revision of its own: dense, in the order of commits, within a commit declarations first, then
// profiles that go, then the others, each by uid. A write that changes nothing gets none. The position that a write returns includes it.
// Profiles and events handed in are canonical, and belong to the store from then on; those handed out belong to the caller. Traits, and a
// lifecycle that follows from them, are the store's own: see KeepComputed for what becomes of those in a profile handed in. Of each part of
// a profile the store remembers when it was last changed, and from which source.
type Store interface {
	// Create stores a new profile. A UID of zero gets one. A uid that is taken, or was that of a deleted profile, is Exists
	// (PROFILE_EXISTS), an external id that another profile holds is Exists (EXTERNAL_ID_TAKEN). A requestID that is not empty
	// and was given within the last hour returns what that call returned, and changes nothing.
	Create(ctx context.Context, p *Profile, requestID string, options ...WriteOption) (*Profile, Position, error)
	// Get returns one profile, or NotFound (PROFILE_NOT_FOUND). The uid of a profile that was merged leads to the one that the person is
	// now, here and in every method that takes a uid but for Create, to which it is taken, and Unmerge.
	Get(ctx context.Context, uid audience.UID) (*Profile, error)
	// BatchGet returns the profiles in the order of uids, as of one moment; nil where there is none.
	BatchGet(ctx context.Context, uids []audience.UID) ([]*Profile, error)
	// Resolve returns the uids of the profiles that have each of the identifiers, which are in their normal form: in the order of
	// ids, ascending, as of one moment; none for one that nobody has.
	Resolve(ctx context.Context, ids []Identifier) ([][]audience.UID, error)
	// List returns at most limit profiles whose uid is above after, by uid.
	List(ctx context.Context, after audience.UID, limit int) ([]*Profile, error)
	// Update calls change with the profile as it is and stores what change made of it, which must be canonical and have the
	// same UID. change may be called late, and again where another process was quicker; it must be quick; its error fails the update unchanged. An etag that is not
	// empty and not the current one is Conflict (ETAG_MISMATCH). NotFound, Exists as in Get and Create.
	Update(ctx context.Context, uid audience.UID, etag string, change func(*Profile) error, options ...WriteOption) (*Profile, Position, error)
	// Delete deletes a profile and frees its external ids; its uid is not given again. By the uid of a profile that was merged, the whole
	// person is deleted; no merge into a deleted profile can be taken back, and nothing is kept of it. Errors as in Update.
	Delete(ctx context.Context, uid audience.UID, etag string) (Position, error)
	// Upsert creates or replaces profiles in one commit, all or none, one after the other: a later row sees what an earlier one
	// did. A row is matched by its UID if given, else by the first of its external ids that is held, else it is created. A row
	// whose external ids belong to several profiles, or to another one than its UID's, is Exists (EXTERNAL_ID_TAKEN); a uid of a
	// deleted profile is Exists (PROFILE_EXISTS). The fault names the row by the path profiles[i].
	Upsert(ctx context.Context, rows []Row) ([]Upserted, Position, error)

	// Merge makes one profile of two that are one person, as package merging says, and returns the one that remains and until when the merge
	// can be taken back. The other one goes, in the same commit: its identifiers are the survivor's from then on, and its uid leads there.
	// NotFound; Conflict (ETAG_MISMATCH) for either etag; Precondition (ALREADY_MERGED) if the two are one.
	Merge(ctx context.Context, survivor, merged audience.UID, want MergeOptions) (*Profile, time.Time, Position, error)
	// Unmerge takes a merge back, in one commit: the profile that was merged is there again under its uid, and the one that it was merged
	// into gives back what it got, as package merging says. It returns the two. NotFound (MERGE_NOT_FOUND); Precondition (MERGE_EXPIRED)
	// after the period of the store; Precondition (MERGE_BUILT_UPON) where the survivor was itself merged into another one or deleted since, or
	// another profile was merged into it since, whose merge must be taken back first; Exists (EXTERNAL_ID_TAKEN) where a third profile has
	// taken one of its external ids meanwhile.
	Unmerge(ctx context.Context, merged audience.UID) (restored, remaining *Profile, at Position, err error)
	// PurgeMerges forgets what is kept of merges that can no longer be taken back, and returns of how many. Uids still lead where they led.
	PurgeMerges(ctx context.Context) (int, error)
	// Survivors returns which of the profiles are what the uid of another one leads to.
	Survivors(ctx context.Context, uids []audience.UID) (map[audience.UID]bool, error)

	// ImportProgress returns how far an import has come; zero for one that is not known.
	ImportProgress(ctx context.Context, id string) (Progress, Position, error)
	// Import upserts the rows that follow row number from of an import and stores its progress in the same commit. Rows that
	// are refused count and stop nothing: a nil Profile, or what Upsert would refuse, which is then the row's Err. A from that is
	// not the import's progress is Conflict (IMPORT_PROTOCOL): another stream of the same import went on; nothing is stored.
	Import(ctx context.Context, id string, from int64, rows []Row) ([]Upserted, Progress, Position, error)

	EventStore

	// CreateAttribute declares an attribute, or Exists (ATTRIBUTE_EXISTS).
	CreateAttribute(ctx context.Context, a *Attribute) (*Attribute, Position, error)
	// UpdateAttribute is Update for a declaration: NotFound (ATTRIBUTE_NOT_FOUND), Conflict (ETAG_MISMATCH).
	UpdateAttribute(ctx context.Context, id, etag string, change func(*Attribute) error) (*Attribute, Position, error)
	// Schema returns all declarations.
	Schema(ctx context.Context) (Schema, error)

	// Head returns the newest committed position.
	Head(ctx context.Context) (Head, error)
	// Changes returns what changed after a revision, in order and compacted: a profile's last state at its last revision, a
	// deletion at its own; of declarations every change, each with the last state. At most as many as want says.
	Changes(ctx context.Context, after int64, want PageOptions) (Page, error)
	// Mark returns the mark by which a revision up to the head is known: that of the first commit kept that reaches it.
	Mark(ctx context.Context, revision int64) ([]byte, error)
	// Check reports whether a position was given by this store in this life: nil, or OutOfRange (CURSOR_TOO_OLD) where its
	// mark may have been given up, or Precondition (CURSOR_OF_ANOTHER_STORE).
	Check(ctx context.Context, store, incarnation string, at Position) error
	// Changed returns a channel that is closed by the next commit in this process that makes a revision. Other processes may
	// commit without a sign.
	Changed() <-chan struct{}

	// Rekey seals and hashes up to limit profiles anew that are under other keys than the primary ones, and returns how many; 0 means
	// that none is left for which there are keys. Nobody sees a difference: it makes no revision and touches no time.
	Rekey(ctx context.Context, limit int) (int, error)
	// KeyUse counts what is under which key. It looks at everything.
	KeyUse(ctx context.Context) (KeyUse, error)

	// Ping asks the database now.
	Ping(ctx context.Context) error
	// Close commits what waits and closes the store. Closing twice is allowed.
	Close() error
}

// Problem is something in a store that cannot be, found by its examination.
type Problem struct {
	// Check is what was looked at: one of the Check constants.
	Check string
	// Name is the resource that it is about; "" where it is about the store.
	Name string
	// What is wrong, without personal data.
	What string
}

// What an examination looks at.
const (
	CheckHead        = "store.head"        // the head is that of the newest mark, and no change is beyond it
	CheckRevisions   = "store.revisions"   // each revision is that of one change
	CheckRecords     = "store.records"     // every record can be read
	CheckContacts    = "store.contacts"    // names and identifiers open with the keys that they are marked with
	CheckIdentifiers = "store.identifiers" // every identifier of a profile is in the index
	CheckIndex       = "store.index"       // the index has nothing else
	CheckTombstones  = "store.tombstones"  // nobody is deleted and there
	CheckEvents      = "store.events"      // every event can be read and is of a profile that is there
	CheckDue         = "store.due"         // traits are what the events give, and will be computed again on the day that changes them
	CheckRedirects   = "store.redirects"   // the uid of a profile that was merged leads to the one that the person is now
	CheckMerges      = "store.merges"      // what is kept of a merge opens, can be read and is of a merge that was made
)

// Checks are all of them, in the order in which they are made.
var Checks = []string{
	CheckHead, CheckRevisions, CheckRecords, CheckContacts, CheckIdentifiers, CheckIndex, CheckTombstones, CheckEvents, CheckDue, CheckRedirects, CheckMerges,
}

// Examined is how much an examination has looked at.
type Examined struct{ Profiles, Identifiers, Tombstones, Events, Merges int64 }
