package persona

import "context"

// Store keeps personas. It is safe for concurrent use; every write is durable when it returns. Errors are faults, or the context's
// error: UNAVAILABLE with STORE_UNAVAILABLE where the database does not answer or was closed, EXHAUSTED with STORE_FULL where its disk
// is full. Names are compared and ordered by bytes. Lists are key sets: a page begins after a name, so personas that are created or
// deleted meanwhile neither repeat nor hide others.
type Store interface {
	// Create stores a new persona and returns it as stored: a fresh Etag, CreateTime and UpdateTime now. UID is the caller's. Exists if
	// the name is taken.
	Create(ctx context.Context, p Persona) (Persona, error)
	// Get returns a persona, or NotFound.
	Get(ctx context.Context, name string) (Persona, error)
	// List returns at most limit personas whose names follow after, in order of names.
	List(ctx context.Context, after string, limit int) ([]Persona, error)
	// Update replaces all but Name, UID, SourceSegment, Segment, Evidence and CreateTime of the persona if its Etag is still p.Etag,
	// and returns it as stored: a fresh Etag, UpdateTime now. EtagMismatch, NotFound.
	Update(ctx context.Context, p Persona) (Persona, error)
	// Delete deletes a persona if its etag is still that one ("": whatever it is). EtagMismatch, NotFound.
	Delete(ctx context.Context, name, etag string) error

	// Ping asks the database for an answer now.
	Ping(ctx context.Context) error
	// Close releases the store. Calls after it are UNAVAILABLE with STORE_UNAVAILABLE; closing again is no error.
	Close() error
}
