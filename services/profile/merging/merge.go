package merging

import (
	"slices"

	"github.com/narrowcast/narrowcast/services/profile"
)

// Side is one of two profiles, canonical and as the store has it, with its provenance.
type Side struct {
	Profile    *profile.Profile
	Provenance Provenance
}

func (s Side) of(part Part) Origin { return s.Provenance.Of(s.Profile, part) }

// Merge returns what the survivor becomes when the other profile is merged into it; how, the package's documentation says. trust
// names sources from the most trusted on and counts for profile.MergeMostTrusted alone; sources that it does not name are
// trusted alike, and less. The result is canonical but for the number of its identifiers, which no limit cuts; each of its parts
// has the origin of the value it was taken from. Neither side is changed.
func Merge(survivor, merged Side, policy profile.MergePolicy, trust []string) Side {
	m := merger{
		a: survivor, b: merged, trusted: policy == profile.MergeMostTrusted, trust: trust,
		builder: builder{result: survivor.Profile.Clone(), origins: make(map[Part]Origin)},
	}
	for i := range fields {
		if f := &fields[i]; f.list != nil {
			m.unite(f.part(), f.list(m.result), *f.list(m.a.Profile), *f.list(m.b.Profile))
		} else {
			m.field(f)
		}
	}
	m.consents()
	m.identifiers()
	m.custom()
	return m.side()
}

type merger struct {
	a, b    Side // the survivor, and what is merged into it
	trusted bool
	trust   []string
	builder
}

// builder is a profile in the making with the origins of its parts.
type builder struct {
	result  *profile.Profile
	origins map[Part]Origin
}

func (b *builder) side() Side {
	parts := Parts(b.result)
	origins := make([]Origin, len(parts))
	for i, part := range parts {
		origins[i] = b.origins[part]
	}
	return Side{b.result, provenance(parts, origins)}
}

// take takes a part's origin over from a side; for a field also its value.
func (b *builder) take(f *field, from Side) {
	f.take(b.result, from.Profile)
	b.origins[f.part()] = from.of(f.part())
}

// beats reports whether what has the origin b wins over what has the origin a and is the survivor's.
func (m *merger) beats(b, a Origin) bool {
	if m.trusted {
		if x, y := m.rank(b.Source), m.rank(a.Source); x != y {
			return x < y
		}
	}
	return b.Time.After(a.Time)
}

func (m *merger) rank(source string) int {
	if at := slices.Index(m.trust, source); at >= 0 {
		return at
	}
	return len(m.trust)
}

// wins reports whether a part of b wins over the survivor's where both are known.
func (m *merger) wins(part Part) bool { return m.beats(m.b.of(part), m.a.of(part)) }

// preferred returns the origin of what both sides know and say alike.
func (m *merger) preferred(part Part) Origin {
	if m.wins(part) {
		return m.b.of(part)
	}
	return m.a.of(part)
}

func (m *merger) field(f *field) {
	if m.fromMerged(f) {
		m.take(f, m.b)
	} else {
		m.take(f, m.a)
	}
}

func (m *merger) fromMerged(f *field) bool {
	a, b := m.a.Profile, m.b.Profile
	switch {
	case f.unit != nil && f.unit.apart(a, b):
		return m.wins(Part{Path: f.unit.key})
	case !f.known(b):
		return false
	case !f.known(a):
		return true
	case f.finer != nil && f.finer(a, b):
		return false
	case f.finer != nil && f.finer(b, a):
		return true
	}
	return m.wins(f.part())
}

// unite sets a list to the union of two; an empty one is known.
func (m *merger) unite(part Part, result *[]string, a, b []string) {
	*result = union(a, b)
	switch {
	case b == nil:
		m.origins[part] = m.a.of(part)
	case a == nil:
		m.origins[part] = m.b.of(part)
	default:
		m.origins[part] = m.preferred(part)
	}
}

// union returns the elements of two canonical lists as one, nil if both are unknown.
func union(a, b []string) []string {
	if a == nil {
		return slices.Clone(b)
	}
	all := slices.Concat(a, b)
	if all == nil {
		return []string{} // Concat of two empty lists
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (m *merger) identifiers() {
	a, b := m.a.Profile, m.b.Profile
	for _, id := range a.Identifiers {
		m.origins[identifierPart(id)] = m.a.of(identifierPart(id))
	}
	for _, id := range b.Identifiers {
		part := identifierPart(id)
		if slices.Contains(a.Identifiers, id) {
			m.origins[part] = m.preferred(part)
			continue
		}
		m.result.Identifiers = append(m.result.Identifiers, id)
		m.origins[part] = m.b.of(part)
	}
	slices.SortFunc(m.result.Identifiers, profile.CompareIdentifiers)
}

func (m *merger) custom() {
	for id := range m.a.Profile.Custom {
		m.origins[customPart(id)] = m.a.of(customPart(id))
	}
	for id, b := range m.b.Profile.Custom {
		part := customPart(id)
		a, both := m.result.Custom[id]
		switch {
		case !both:
			m.setCustom(id, b)
			m.origins[part] = m.b.of(part)
		case a.Type == profile.TypeStringList && b.Type == profile.TypeStringList:
			m.unite(part, &a.List, a.List, b.List)
			m.setCustom(id, a)
		case m.wins(part):
			m.setCustom(id, b)
			m.origins[part] = m.b.of(part)
		}
	}
}

func (b *builder) setCustom(id string, v profile.Value) {
	if b.result.Custom == nil {
		b.result.Custom = make(map[string]profile.Value)
	}
	v.List = slices.Clone(v.List)
	b.result.Custom[id] = v
}
