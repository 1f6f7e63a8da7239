package index

import (
	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/segment"
)

// applied is what came of a tick's changes.
type applied struct {
	declared bool  // the schema changed
	refused  int   // facts that the schema does not allow
	err      error // why the first of them, or a declaration, was refused
}

// apply changes the content as the batches say. Called with the lock held.
func (st *state) apply(assign Assigner, batches []Batch) applied {
	var out applied
	var d audience.Derived
	if a, ok := assign.(Arranger); ok {
		st.arrange(a, batches)
	}
	for i := range batches {
		b := &batches[i]
		for j := range b.Changes {
			c := &b.Changes[j]
			switch {
			case c.Attribute != nil:
				if err := st.declare(*c.Attribute); err != nil {
					out.refuse(err)
					continue
				}
				out.declared = true
			case c.Facts == nil:
				st.remove(c.UID)
			default:
				st.derive(&d, c.Facts, &out)
				at := st.place(assign, c.UID, c.Facts)
				st.blocks[at.block].put(at.ordinal, &d)
			}
		}
		st.between = b.Replaying
		// Compacted changes are of no single position: the one before them stands until they have ended.
		if !b.Replaying && (b.Through.Revision >= st.read.Revision || b.Through.Incarnation != st.read.Incarnation) {
			st.read, st.cursor = b.Through, b.Cursor
			st.replayed = true
		}
	}
	return out
}

// derive makes the rows and columns of one profile. A fact that the schema does not allow, which the profile service should
// have refused, is left out: the person stays, that value is unknown.
func (st *state) derive(d *audience.Derived, facts audience.Facts, out *applied) {
	for {
		err := d.Set(st.schema, facts)
		if err == nil {
			return
		}
		out.refuse(err)
		f := fault.As(err)
		if f == nil || f.Metadata["attribute"] == "" {
			*d = audience.Derived{Rows: []audience.Field{audience.FieldLive}}
			return
		}
		delete(facts, f.Metadata["attribute"])
	}
}

func (out *applied) refuse(err error) {
	out.refused++
	if out.err == nil {
		out.err = err
	}
}

// remove takes a deleted profile out of the index. Its ordinal stays taken.
func (st *state) remove(uid audience.UID) {
	at, ok := st.where(uid)
	if !ok {
		return
	}
	st.places.Remove(uid, at.ref())
	st.blocks[at.block].remove(at.ordinal)
	st.blank = append(st.blank, segment.Ordinal{Block: at.block, Ordinal: uint32(at.ordinal)})
}
