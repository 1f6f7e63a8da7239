package audience

// Narrow applies steps to one block, one after the other, and adds to counts how many are left after each: the attrition
// table. counts[0] counts the live ordinals and counts[i+1] those left after steps[i], so it is one longer than steps. out, unless
// it is nil, becomes those left after all. Each count is that of the steps so far evaluated together; each block is read once, and
// steps after one that leaves nobody are not looked at. After an error counts and out are undefined.
func Narrow(steps []*Expr, b Block, counts []uint64, out *Bits) error {
	ev := newEval(b)
	defer ev.release()
	s := ev.begin(nil)
	defer ev.giveBack(s)
	counts = counts[:len(steps)+1]
	// How many live is in the directory; who they are matters only to a step that does not say it itself.
	if n, ok := b.Cardinality(FieldLive); ok {
		counts[0] += uint64(n)
		if n == 0 {
			s.empty()
		}
	} else {
		if err := ev.ground(s); err != nil {
			return err
		}
		counts[0] += uint64(s.n)
	}
	for i, e := range steps {
		if s.n == 0 {
			break // the counts of the steps that follow stay as they are
		}
		if e.pos.guess(b) == 0 {
			s.empty()
			break
		}
		if out == nil && i == len(steps)-1 && e.pos.op == opRow && s.live && s.shape == shapeDense {
			// Nothing is made of the last two: only how many they share is asked for.
			row, err := rowOf(b, e.pos.field)
			if err != nil {
				return err
			}
			counts[i+1] += uint64(row.AndCount(s.bits))
			break
		}
		if err := ev.node(e.pos, s); err != nil {
			return err
		}
		if err := ev.ground(s); err != nil {
			return err
		}
		counts[i+1] += uint64(s.n)
	}
	if out == nil {
		return nil
	}
	if err := ev.ground(s); err != nil {
		return err
	}
	s.into(out)
	return nil
}

// NarrowUnread is Narrow for a block of which cardinalities alone tell all counts: one whose first steps leave nobody, by what its
// directory says. It reports whether it is one; if so, live are counted by counts[0], first by counts[1], and nobody by those after.
func NarrowUnread(steps []*Expr, b Block) (live, first int, ok bool) {
	live, ok = b.Cardinality(FieldLive)
	if !ok {
		return 0, 0, false
	}
	for i := 0; live > 0 && i < len(steps); i++ {
		n := steps[i].pos
		if n.guess(b) == 0 {
			break
		}
		f, counted := n.counted()
		if i > 0 || !counted {
			return 0, 0, false
		}
		if first, ok = b.Cardinality(f); !ok {
			return 0, 0, false
		}
	}
	return live, first, true
}

// Households keeps one member of each household: the first by block and ordinal of all that it is shown. The zero value is
// ready, for one answer; it remembers each household seen, so its memory grows with the audience.
type Households struct {
	seen map[string]struct{}
}

// HouseholdField is the column that Keep reads.
const HouseholdField Field = "c/" + AttrHousehold

// Keep removes from members those whose household is already kept. Who has no known household stays. Blocks are to be shown in
// ascending order, each once.
func (h *Households) Keep(b Block, members *Bits) error {
	if members.IsEmpty() {
		return nil
	}
	c, err := columnOf(b, HouseholdField)
	if err != nil || c == nil {
		return err
	}
	if h.seen == nil {
		h.seen = make(map[string]struct{})
	}
	for o := range members.All() {
		name, ok := c.Text(o)
		if !ok {
			continue
		}
		if _, taken := h.seen[name]; taken {
			members.Unset(o)
			continue
		}
		h.seen[name] = struct{}{}
	}
	return nil
}
