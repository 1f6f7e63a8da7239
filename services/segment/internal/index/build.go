package index

import (
	"fmt"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// evaluate sets out to the members of a rule row among within (nil: all) in one block.
func (r *ruleRow) evaluate(v *view, within, out *audience.Bits) error {
	if r.expr != nil {
		if err := r.expr.Eval(v, within, out); err != nil {
			return fmt.Errorf("evaluate %s: %w", r.version.name, err)
		}
		return nil
	}
	row, _ := v.Row(audience.FieldLive)
	out.Clear()
	live := row.Bits()
	if live == nil {
		return nil
	}
	for w := range out {
		rest := live[w]
		if within != nil {
			rest &= within[w]
		}
		for ; rest != 0; rest &= rest - 1 {
			o := uint16(w<<6 | trailing(rest))
			if _, ok := r.version.members[v.b.uids[o]]; ok {
				out.Set(o)
			}
		}
	}
	return nil
}

// update evaluates the rows that a block has on the words that hold a changed profile. Called with the lock held.
func (st *state) update(b *block) error {
	if b.changed.empty() {
		return nil
	}
	var within, out audience.Bits
	b.changed.fill(&within)
	v := b.view()
	for _, r := range st.rules {
		row := b.segments[r.field]
		if row == nil {
			continue // it is still to be built
		}
		if err := r.evaluate(v, &within, &out); err != nil {
			return fmt.Errorf("block %d: %w", b.n, err)
		}
		was := row.n
		if row.replace(&b.changed, &out) {
			b.touch(r.field)
			b.loses = b.loses || row.n <= was
		}
	}
	b.changed = wordSet{}
	return nil
}

// build makes rows that blocks do not have yet, block by block, until the deadline has passed; at least one block is built. It
// reports whether something is left. Called with the lock held.
func (st *state) build(now func() time.Time, deadline time.Time) (left bool, err error) {
	var out audience.Bits
	built := false
	for _, b := range st.blocks {
		var v *view
		for _, r := range st.rules {
			if b.segments[r.field] != nil {
				continue
			}
			if v == nil {
				if built && !now().Before(deadline) {
					return true, nil
				}
				v = b.view()
			}
			if err := r.evaluate(v, nil, &out); err != nil {
				return true, fmt.Errorf("block %d: %w", b.n, err)
			}
			bits := out
			b.segments[r.field] = rowOf(&bits)
			b.touch(r.field)
			built = true
		}
	}
	return false, nil
}

// recompile makes all expressions again under the schema of now, before the changes that came with it are evaluated. Called
// with the lock held.
func (st *state) recompile() error {
	for _, r := range st.rules {
		if err := r.version.recompile(st.schema); err != nil {
			return err
		}
	}
	return nil
}
