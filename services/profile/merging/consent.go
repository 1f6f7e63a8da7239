package merging

import (
	"cmp"
	"math"
	"slices"

	"github.com/narrowcast/narrowcast/services/profile"
)

// decision is what a profile says about a purpose over a channel.
type decision struct {
	consent profile.Consent
	origin  Origin
	// own is false where the general decision speaks for the channel.
	own bool
}

// decide returns what a side says about a purpose over a channel, "" in general; false: nothing. This is how
// audience.Consent reads consents.
func (s Side) decide(purpose, channel string) (decision, bool) {
	c, ok := findConsent(s.Profile, purpose, channel)
	if ok {
		return decision{c, s.of(consentPart(c)), true}, true
	}
	if c, ok = findConsent(s.Profile, purpose, ""); !ok {
		return decision{}, false
	}
	d := decision{consent: c, origin: s.of(consentPart(c))}
	d.consent.Channel = channel
	return d, true
}

// until is the first day on which a decision no longer permits anything.
func until(c profile.Consent) int64 {
	switch {
	case c.Status != profile.ConsentGranted:
		return math.MinInt64
	case c.Expires == nil:
		return math.MaxInt64
	}
	return *c.Expires
}

// consents gives each purpose and channel, about which either side has a decision of its own, the more protective of what the two
// say about it. A channel without a decision of its own on either side is spoken for by the general decisions, and so by the
// more protective of these.
func (m *merger) consents() {
	m.result.Consents = nil
	for _, c := range slices.Concat(m.a.Profile.Consents, m.b.Profile.Consents) {
		if _, done := findConsent(m.result, c.Purpose, c.Channel); done {
			continue
		}
		a, known := m.a.decide(c.Purpose, c.Channel)
		b, also := m.b.decide(c.Purpose, c.Channel)
		if also && (!known || m.moreProtective(b, a)) {
			a = b
		}
		a.consent.Expires = copyOptional(a.consent.Expires)
		m.result.Consents = append(m.result.Consents, a.consent)
		m.origins[consentPart(a.consent)] = a.origin
	}
	slices.SortFunc(m.result.Consents, profile.CompareConsents)
}

// moreProtective reports whether b, of the merged profile, takes the place of the survivor's a: it permits less, or as much and
// was made for the channel itself, or was decided later, or wins by the policy.
func (m *merger) moreProtective(b, a decision) bool {
	switch c := cmp.Compare(until(b.consent), until(a.consent)); {
	case c != 0:
		return c < 0
	case a.own != b.own:
		return b.own
	}
	if c := b.consent.Decided.Compare(a.consent.Decided); c != 0 {
		return c > 0
	}
	return m.beats(b.origin, a.origin)
}
