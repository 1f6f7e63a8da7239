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

// update evaluates the rows that a block has for the profiles that changed: those rows that read a field of which something moved.
// Called with the lock held.
func (st *state) update(b *block) error {
	if b.changed.empty() {
		b.changed.clear()
		return nil
	}
	concerned := st.concerned(b.changed.fields)
	var at evaluator = &st.spot
	if b.changed.many {
		at = newWords(b)
	} else {
		st.spot.look(b, b.changed.ordinals)
	}
	for i, r := range st.rules {
		row := b.segments[r.field]
		if !concerned[i] || row == nil { // without a row it is still to be built
			continue
		}
		was := row.n
		changed, err := at.evaluate(r, row)
		if err != nil {
			return fmt.Errorf("block %d: %w", b.n, err)
		}
		if changed {
			b.touch(r.field)
			b.loses = b.loses || row.n <= was
			st.concern(concerned, r.field) // rules that read a list's row come after it
		}
	}
	b.changed.clear()
	return nil
}

// evaluator brings rows up to date where profiles of a block have changed.
type evaluator interface {
	// evaluate brings one row up to date and reports whether that changed it.
	evaluate(r *ruleRow, row *row) (changed bool, err error)
}

// words evaluates on all words that hold a changed profile.
type words struct {
	b           *block
	v           *view
	within, out audience.Bits
}

func newWords(b *block) *words {
	w := &words{b: b, v: b.view()}
	b.changed.words.fill(&w.within)
	return w
}

func (w *words) evaluate(r *ruleRow, row *row) (bool, error) {
	if err := r.evaluate(w.v, &w.within, &w.out); err != nil {
		return false, err
	}
	return row.replace(&w.b.changed.words, &w.out), nil
}

// concerned returns which of the rules read one of the fields. It is valid until the next call.
func (st *state) concerned(fields map[audience.Field]struct{}) []bool {
	if st.readers == nil {
		st.readers = make(map[audience.Field][]int)
		for i, r := range st.rules {
			if r.expr == nil {
				st.readers[audience.FieldLive] = append(st.readers[audience.FieldLive], i)
				continue
			}
			for _, f := range r.expr.Fields() {
				st.readers[f] = append(st.readers[f], i)
			}
		}
	}
	st.marks = append(st.marks[:0], make([]bool, len(st.rules))...)
	for f := range fields {
		st.concern(st.marks, f)
	}
	return st.marks
}

func (st *state) concern(marks []bool, f audience.Field) {
	for _, i := range st.readers[f] {
		marks[i] = true
	}
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
	st.readers = nil
	for _, r := range st.rules {
		if err := r.version.recompile(st.schema); err != nil {
			return err
		}
	}
	return nil
}
