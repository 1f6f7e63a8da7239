package audience

import (
	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Leaves: each returns the set of whom the predicate is true, or with !want false. Both lie inside the presence of the
// attribute; who is in neither is unknown.

func (c *compiler) compare(p Compare, want bool) (*node, error) {
	a, err := c.attr(p.Attr, KindEnum, KindOrdered, KindBool, KindRegion, KindText, KindDate, KindDecimal, KindMoney, KindBirth)
	if err != nil {
		return nil, err
	}
	if p.Op < OpEQ || p.Op > OpGE {
		return nil, notAnswered(p.Attr)
	}
	if p.Op == OpNE {
		p.Op, want = OpEQ, !want
	}
	switch a.Kind {
	case KindEnum, KindBool, KindRegion:
		if p.Op != OpEQ {
			return nil, notAnswered(p.Attr)
		}
		return among(a, []Value{p.Value}, want), nil
	case KindOrdered:
		at, ok := a.rank[p.Value.Text]
		if !ok {
			if p.Op != OpEQ {
				return nil, notAnswered(p.Attr)
			}
			return among(a, nil, want), nil
		}
		var values []Value
		for i, v := range a.Values {
			if p.Op.holds(i - at) {
				values = append(values, Value{Text: v})
			}
		}
		return among(a, values, want), nil
	case KindText:
		return rangeNode(a.column, !want, textSpan(p.Op, p.Value.Text)), nil
	case KindDate, KindDecimal:
		return rangeNode(a.column, !want, numSpan(p.Op, p.Value.Num)...), nil
	case KindMoney:
		if !validCurrency(p.Value.Currency) {
			return nil, notAnswered(p.Attr)
		}
		return rangeNode(MoneyField(a.Name, p.Value.Currency), !want, numSpan(p.Op, p.Value.Num)...), nil
	}
	return born(a.column, a.last, p.Op, p.Value.Num, want), nil
}

func (c *compiler) in(p In, want bool) (*node, error) {
	a, err := c.attr(p.Attr, KindEnum, KindOrdered, KindBool, KindRegion, KindText, KindDate, KindDecimal, KindMoney)
	if err != nil {
		return nil, err
	}
	var spans []span
	switch a.Kind {
	case KindText:
		for _, v := range p.Values {
			spans = append(spans, textSpan(OpEQ, v.Text))
		}
	case KindDate, KindDecimal:
		for _, v := range p.Values {
			spans = append(spans, numSpan(OpEQ, v.Num)...)
		}
	case KindMoney:
		return c.moneyIn(a, p.Values, want)
	default:
		return among(a, p.Values, want), nil
	}
	return rangeNode(a.column, !want, spans...), nil
}

// moneyIn is an Or of equalities: one with a literal in another currency is unknown.
func (c *compiler) moneyIn(a *Attribute, values []Value, want bool) (*node, error) {
	var kids []*node
	for _, v := range values {
		if !validCurrency(v.Currency) {
			return nil, notAnswered(a.Name)
		}
		kids = append(kids, rangeNode(MoneyField(a.Name, v.Currency), !want, numSpan(OpEQ, v.Num)...))
	}
	if want {
		return orNode(kids...), nil
	}
	return andNode(append(kids, rowNode(a.presence))...), nil
}

// among is who has one of the values of an attribute kept as rows, or has a value and none of them.
func among(a *Attribute, values []Value, want bool) *node {
	var in []*node
	for _, v := range values {
		switch {
		case a.Kind == KindBool && (v.Num == 0 || v.Num == 1):
			in = append(in, rowNode(a.fields[v.Num]))
		case a.Kind == KindRegion && region.IsParent(v.Text):
			in = append(in, rowNode(ExactField(a.Name, v.Text)))
		case a.Kind == KindRegion:
			in = append(in, rowNode(FactField(a.Name, v.Text)))
		default:
			if i, ok := a.rank[v.Text]; ok {
				in = append(in, rowNode(a.fields[i]))
			}
		}
	}
	if want {
		return orNode(in...)
	}
	return andNode(rowNode(a.presence), notNode(orNode(in...)))
}

func (c *compiler) contains(p Contains, want bool) (*node, error) {
	a, err := c.attr(p.Attr, KindTextList)
	if err != nil {
		return nil, err
	}
	rows := make([]*node, len(p.Texts))
	for i, t := range p.Texts {
		rows[i] = rowNode(FactField(a.Name, t))
	}
	present := rowNode(a.presence)
	var yes *node
	switch {
	case !p.All:
		yes = orNode(rows...)
	case len(rows) == 0:
		yes = present // all of none
	default:
		yes = andNode(rows...)
	}
	if want {
		return yes, nil
	}
	return andNode(present, notNode(yes)), nil
}

func (c *compiler) within(p Within, want bool) (*node, error) {
	a, err := c.attr(p.Attr, KindRegion)
	if err != nil {
		return nil, err
	}
	rows := make([]*node, len(p.Codes))
	for i, code := range p.Codes {
		rows[i] = rowNode(FactField(a.Name, code))
	}
	if want {
		return orNode(rows...), nil
	}
	return andNode(rowNode(a.presence), notNode(orNode(rows...))), nil
}

func (c *compiler) age(p Age, want bool) (*node, error) {
	a, err := c.attr(p.Attr, KindBirth, KindDate)
	if err != nil {
		return nil, err
	}
	c.dateRelative = true
	last := a.last
	if a.Kind == KindDate {
		last = a.column
	}
	years := max(-maxYears, min(maxYears, p.Years))
	// At least n years old is born by the cutoff of n; every comparison is made of these.
	atLeast := func(n int64, want bool) *node { return born(a.column, last, OpLE, AgeCutoff(c.env.Day, n), want) }
	switch p.Op {
	case OpGE:
		return atLeast(years, want), nil
	case OpLT:
		return atLeast(years, !want), nil
	case OpGT:
		return atLeast(years+1, want), nil
	case OpLE:
		return atLeast(years+1, !want), nil
	case OpEQ, OpNE:
		if want == (p.Op == OpEQ) {
			return andNode(atLeast(years, true), atLeast(years+1, false)), nil
		}
		return orNode(atLeast(years, false), atLeast(years+1, true)), nil
	}
	return nil, notAnswered(p.Attr)
}

// born compares a birth date, known to lie between the values of two columns, with a day: true (or with !want false) where
// it is so of the whole interval.
func born(first, last Field, op Op, day int64, want bool) *node {
	switch op {
	case OpGT, OpGE, OpNE:
		op, want = op.Negate(), !want
	}
	switch {
	case op == OpEQ && want:
		return andNode(rangeNode(first, false, numSpan(OpEQ, day)...), rangeNode(last, false, numSpan(OpEQ, day)...))
	case op == OpEQ:
		return orNode(rangeNode(first, false, numSpan(OpGT, day)...), rangeNode(last, false, numSpan(OpLT, day)...))
	case want:
		return rangeNode(last, false, numSpan(op, day)...)
	}
	return rangeNode(first, true, numSpan(op, day)...)
}

func (c *compiler) days(p Days, want bool) (*node, error) {
	if p.Op < OpEQ || p.Op > OpGE {
		return nil, notAnswered(p.From.Attr + p.To.Attr)
	}
	if !want {
		p.Op = p.Op.Negate() // where both dates are known, not < is >=
	}
	var columns [2]Field
	var days [2]int64
	for i, r := range [2]DateRef{p.From, p.To} {
		switch {
		case r.Attr != "":
			a, err := c.attr(r.Attr, KindDate)
			if err != nil {
				return nil, err
			}
			columns[i] = a.column
		case r.Today:
			c.dateRelative = true
			days[i] = c.env.Day
		case r.Day < MinDay || r.Day > MaxDay:
			return nil, fault.New(fault.Invalid, ReasonInvalidDate, "a fixed day lies between 0001-01-01 and 9999-12-31")
		default:
			days[i] = r.Day
		}
	}
	// Two dates are less than 2^22 days apart: a larger number asks the same, and cannot overflow below.
	n := max(-1<<32, min(1<<32, p.N))
	switch {
	case columns[0] == "" && columns[1] == "":
		if p.Op.holds(sign(days[1] - days[0] - n)) {
			return everybody, nil
		}
		return nobody, nil
	case columns[0] == "": // to - day op n
		return dayRange(columns[1], p.Op, days[0]+n), nil
	case columns[1] == "": // day - from op n
		return dayRange(columns[0], p.Op.Flip(), days[1]-n), nil
	}
	return &node{op: opDiff, field: columns[0], to: columns[1], cmp: p.Op, n: n, size: 1, heavy: true, live: true}, nil
}

func dayRange(f Field, op Op, day int64) *node {
	if op == OpNE {
		return rangeNode(f, true, numSpan(OpEQ, day)...)
	}
	return rangeNode(f, false, numSpan(op, day)...)
}

func (c *compiler) has(name string) (*node, error) {
	a, ok := c.env.Schema.Attribute(name)
	if !ok {
		_, err := c.attr(name)
		return nil, err
	}
	f, column := a.Presence()
	if !column {
		return rowNode(f), nil
	}
	n := presentNode(f)
	if general := generalConsent(a); general != "" {
		n = orNode(n, presentNode(general))
	}
	return n, nil
}

// consent asks the record for the channel itself, and only where there is none the purpose's general one.
func (c *compiler) consent(p Consent, want bool) (*node, error) {
	a, err := c.attr(ConsentName(p.Purpose, p.Channel), KindConsent)
	if err != nil {
		return nil, err
	}
	c.dateRelative = true
	holds := numSpan(OpGT, *c.env.ConsentDay)
	own := rangeNode(a.column, !want, holds...)
	general := generalConsent(a)
	if general == "" {
		return own, nil
	}
	return orNode(own, andNode(notNode(presentNode(a.column)), rangeNode(general, !want, holds...))), nil
}

// generalConsent returns the column of the purpose's general consent, "" where a is that itself or no consent.
func generalConsent(a *Attribute) Field {
	if a.Kind != KindConsent {
		return ""
	}
	dot := len(a.Name) - 1
	for a.Name[dot] != '.' {
		dot--
	}
	general := a.Name[:dot+1] + ChannelAny
	if general == a.Name {
		return ""
	}
	return ColumnField(general)
}

// numSpan returns the values that satisfy op v; none where there is no such number.
func numSpan(op Op, v int64) []span {
	s := span{lo: minInt64, hi: maxInt64}
	switch op {
	case OpEQ:
		s.lo, s.hi = v, v
	case OpLE:
		s.hi = v
	case OpGE:
		s.lo = v
	case OpLT:
		if v == minInt64 {
			return nil
		}
		s.hi = v - 1
	case OpGT:
		if v == maxInt64 {
			return nil
		}
		s.lo = v + 1
	}
	return []span{s}
}

// textSpan returns the texts that satisfy op v. The next text after v, in the order of bytes, is v and a zero byte.
func textSpan(op Op, v string) span {
	next := v + "\x00"
	s := span{kind: spanTexts}
	switch op {
	case OpEQ:
		s.from, s.until = v, &next
	case OpLT:
		s.until = &v
	case OpLE:
		s.until = &next
	case OpGT:
		s.from = next
	case OpGE:
		s.from = v
	}
	return s
}

func sign(n int64) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
