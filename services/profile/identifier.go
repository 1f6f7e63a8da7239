package profile

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/identity"
)

// Rules say which identifiers a profile may have. Their zero value lets everything pass that has a normal form, within the default limits.
type Rules struct {
	// Guard knows which values are nobody's; nil: none is looked at.
	Guard *identity.Guard
	// Allow are rules of the guard that are not applied.
	Allow []string
	// Limits are the most identifiers of each kind; nil: the defaults.
	Limits identity.Limits
	// Region is the country (ISO 3166-1 alpha-2) of phone numbers without country code; empty: they are refused.
	Region string
}

// DefaultAllow are the rules of the guard that are not applied unless configured: addresses and numbers that are kept for examples stand for
// nobody, but for nobody else either, and made-up people have them.
var DefaultAllow = []string{identity.RuleReservedDomain, identity.RuleFictitiousPhone}

// Normalize brings an identifier into its normal form. The fault is Invalid and names the field, never its value: INVALID_IDENTIFIER where it
// has none. What nobody may keep, for being nobody's, may be asked for all the same: see [Rules.Check].
func (r Rules) Normalize(id *Identifier) error {
	id.Source = audience.NormalizeText(id.Source)
	switch {
	case id.Source != "" && (strings.TrimSpace(id.Source) != id.Source || strings.ContainsFunc(id.Source, unicode.IsControl)):
		return fault.InvalidField(ReasonInvalidIdentifier, "source", "a source has no control characters, and no space at its ends")
	case id.Kind == KindExternalID && id.Source == "":
		return fault.InvalidField(ReasonInvalidIdentifier, "source", "an external id needs the name of the system that it comes from")
	case id.Kind == KindExternalID && strings.TrimSpace(id.Value) != id.Value:
		// It is the other system's word: what is cut off here might be another id there.
		return fault.InvalidField(ReasonInvalidIdentifier, "value", "an external id has no space at its ends")
	}
	normal, err := identity.Normalize(id.Kind, id.Value, identity.Options{Region: r.Region, Possible: true})
	if err != nil {
		return err
	}
	id.Value = normal
	return nil
}

// Check refuses an identifier in normal form that is nobody's: Invalid (IDENTIFIER_BLOCKED) with the rule that says so. An external id is never
// nobody's: its system has given it to somebody, and is known to begin with 0.
func (r Rules) Check(id Identifier) error {
	if r.Guard == nil || id.Kind == KindExternalID {
		return nil
	}
	if rule := r.Guard.Blocked(id.Kind, id.Value); rule == "" || slices.Contains(r.Allow, rule) {
		return nil
	}
	return r.Guard.Check(id.Kind, id.Value)
}

// canonicalIdentifiers returns the last fault of an identifier.
func (p *Profile) canonicalIdentifiers(v *fault.Violations, rules Rules) (last error) {
	refuse := func(path string, err error) {
		if f := fault.As(err); f != nil {
			last = f.Under(path)
			v.AddErr(path, err)
		}
	}
	var counts map[string]int
	for i := range p.Identifiers {
		id := &p.Identifiers[i]
		at := fault.Index("identifiers", i)
		if err := rules.Normalize(id); err != nil {
			refuse(at, err)
			continue
		}
		if err := rules.Check(*id); err != nil {
			refuse(at, err)
			continue
		}
		if slices.Contains(p.Identifiers[:i], *id) {
			v.Add(at, ReasonDuplicateIdentifier, "the identifier is there already; give it once")
		}
		if counts == nil {
			counts = make(map[string]int, len(identity.Kinds))
		}
		counts[id.Kind]++
	}
	if err := rules.Limits.Check(counts); err != nil {
		if f := fault.As(err); f != nil && len(f.Violations) == 0 {
			err = f.At("identifiers")
		}
		refuse("", err)
	}
	p.sortIdentifiers()
	return last
}

func (p *Profile) sortIdentifiers() {
	slices.SortFunc(p.Identifiers, CompareIdentifiers)
	if len(p.Identifiers) == 0 {
		p.Identifiers = nil
	}
}

// CompareIdentifiers orders identifiers as canonical profiles hold them: by kind, source and value.
func CompareIdentifiers(a, b Identifier) int {
	return cmp.Or(cmp.Compare(place(IdentifierKinds, a.Kind), place(IdentifierKinds, b.Kind)), strings.Compare(a.Source, b.Source), strings.Compare(a.Value, b.Value))
}

// NormalizeIdentifiers brings what was stored by programs that knew no normal forms into them. What has none stays as it is, and what
// then is there twice is dropped once.
func (p *Profile) NormalizeIdentifiers() {
	for i := range p.Identifiers {
		id := p.Identifiers[i]
		if id.Kind != KindExternalID && (Rules{}).Normalize(&id) == nil {
			p.Identifiers[i] = id
		}
	}
	p.sortIdentifiers()
	p.Identifiers = slices.Compact(p.Identifiers)
}
