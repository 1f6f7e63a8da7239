package audience

// Narrow applies steps to one block, one after the other, and adds to counts how many are left after each: the attrition
// table. counts[0] counts the live ordinals and counts[i+1] those left after steps[i], so it is one longer than steps. out
// becomes those left after all. Each count is that of the steps so far evaluated together; each block is read once.
func Narrow(steps []*Expr, b Block, counts []uint64, out *Bits) error {
	ev := newEval(b)
	defer ev.release()
	if err := ev.start(nil, out); err != nil {
		return err
	}
	counts = counts[:len(steps)+1]
	counts[0] += uint64(out.Count())
	for i, e := range steps {
		left, err := ev.node(e.pos, out)
		if err != nil {
			return err
		}
		if !left {
			break // the counts of the steps that follow stay as they are
		}
		counts[i+1] += uint64(out.Count())
	}
	return nil
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
