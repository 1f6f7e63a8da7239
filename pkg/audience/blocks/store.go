package blocks

import (
	"context"
	"strconv"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Key names a block in a store.
type Key struct {
	// Store is the installation's id: 1 to 64 bytes without braces, spaces or control characters.
	Store  string
	Layout uint32
	Block  uint32
}

// String returns the key as stores use it: "nc:<store>:<layout>:<format>:{b<block>}". The braces are the hash tag by which a
// cluster places the block.
func (k Key) String() string {
	b := make([]byte, 0, len(k.Store)+40)
	b = append(b, "nc:"...)
	b = append(b, k.Store...)
	b = append(b, ':')
	b = strconv.AppendUint(b, uint64(k.Layout), 10)
	b = append(b, ':')
	b = strconv.AppendUint(b, uint64(Format), 10)
	b = append(b, ":{b"...)
	b = strconv.AppendUint(b, uint64(k.Block), 10)
	return string(append(b, '}'))
}

// Value is a field with its encoded bytes.
type Value struct {
	Field audience.Field
	Data  []byte
}

// BlockWrite is one change of one block.
type BlockWrite struct {
	Key Key
	// Epoch and Version are those of Meta. A version of an epoch is never used for two different contents.
	Epoch   Epoch
	Version uint64
	// Meta is the encoded directory after the change.
	Meta []byte
	// Set and Delete are the fields that change. A field is in one of them, once.
	Set    []Value
	Delete []audience.Field
	// Whole makes the block hold Meta and Set and nothing else, whatever it held.
	Whole bool
}

// Store keeps blocks as bytes. It checks none of them: whoever reads must. A Store is safe for concurrent use.
type Store interface {
	// Read returns the block's meta and the values of the fields, in their order, as one state of the block. What is not there
	// is nil; so is everything where the key holds something else than a block. The caller owns the bytes.
	//
	// Errors: ErrStoreUnreachable (a fault) where the store does not answer or refuses to, the context's error, ErrClosed.
	Read(ctx context.Context, key Key, fields []audience.Field) (meta []byte, values [][]byte, err error)
	// Write changes one block atomically: a reader sees all of it or nothing. The store does not keep the slices.
	//
	// Errors: ErrSuperseded if the block was last written under a higher lease number (a mark that does not pass its own check
	// does not count), ErrOutOfOrder if under the same epoch with a higher version, ErrStoreUnreachable with an unknown outcome,
	// the context's error likewise, ErrClosed. The same write again succeeds.
	Write(ctx context.Context, w BlockWrite) error
	// Drop deletes blocks, whoever wrote them. Errors as for Read; some may be deleted then.
	Drop(ctx context.Context, keys ...Key) error
	// Ping asks the store for an answer now. Errors as for Read.
	Ping(ctx context.Context) error
	// Close releases what the store holds; further calls return ErrClosed. Closing again is no error.
	Close() error
}

// MetaField is the name, among a block's fields, of its meta. It is no audience.Field and in no directory.
const MetaField audience.Field = "meta"
