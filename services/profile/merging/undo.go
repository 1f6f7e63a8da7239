package merging

import (
	"slices"

	"github.com/narrowcast/narrowcast/services/profile"
)

// Record is what is kept of a merge in order to take it back: both sides as they were before, and what Merge made of them.
type Record struct{ Survivor, Merged, Result Side }

// Undo returns what the survivor and the merged profile become when the merge is taken back. now is the survivor as it is.
//
// The merged profile becomes what it was, Record.Merged, but for refusals: whoever has denied or withdrawn a consent since, or brought its
// end forward, may be either of the two people, so it holds for both. Grants given since stay with the survivor alone.
//
// Of the survivor, a field, an element of a list, a custom attribute, a consent or an identifier that still is what the merge made of it
// becomes what it was before. What was changed since stays as it is: a value that was set anew, even to the same, what was added, what was
// removed. The parts of an employer or home that the merge had replaced go back together, or stay together where one of them
// was changed. While a refusal in general that is newer than the merge stands, neither gets back a grant of its purpose that the
// survivor does not have now.
//
// Taking back a merge twice, or one that is not that of now, changes what happens to be equal: the caller keeps these apart.
func Undo(r Record, now Side) (survivor, merged Side) {
	u := undoer{before: r.Survivor, made: r.Result, now: now, builder: builder{result: now.Profile.Clone(), origins: make(map[Part]Origin)}}
	for i := range fields {
		switch f := &fields[i]; {
		case f.list != nil:
			u.list(f.part(), f.list(u.result), *f.list(u.before.Profile), *f.list(u.made.Profile), *f.list(now.Profile))
		case u.reverts(f):
			u.take(f, u.before)
		default:
			u.take(f, now)
		}
	}
	u.consents()
	u.identifiers()
	u.custom()
	return u.side(), u.restore(r.Merged)
}

type undoer struct {
	before, made, now Side
	builder
}

// untouched reports whether a part is what the merge made of it.
func (u *undoer) untouched(part Part) bool {
	return same(part, u.now.Profile, u.made.Profile) && u.now.of(part) == u.made.of(part)
}

func (u *undoer) reverts(f *field) bool {
	if f.unit == nil || !f.unit.apart(u.before.Profile, u.made.Profile) {
		return !f.known(u.now.Profile) && !f.known(u.made.Profile) || u.untouched(f.part())
	}
	for _, path := range f.unit.paths {
		f := byPath[path]
		if (f.known(u.now.Profile) || f.known(u.made.Profile)) && !u.untouched(f.part()) {
			return false
		}
	}
	return true
}

// list takes from a list what the merge had added.
func (u *undoer) list(part Part, result *[]string, before, made, now []string) {
	if equalLists(now, made) && (now == nil || u.now.of(part) == u.made.of(part)) {
		*result = slices.Clone(before)
		u.origins[part] = u.before.of(part)
		return
	}
	u.origins[part] = u.now.of(part)
	left := slices.DeleteFunc(slices.Clone(now), func(text string) bool {
		return slices.Contains(made, text) && !slices.Contains(before, text)
	})
	if before == nil && len(left) == 0 && len(now) > 0 {
		left = nil // nobody has said that the survivor has none
	}
	*result = left
}

func (u *undoer) consents() {
	now := u.now.Profile.Consents
	u.result.Consents = nil
	for _, c := range slices.Concat(now, u.before.Profile.Consents) {
		part := consentPart(c)
		if _, done := findConsent(u.result, c.Purpose, c.Channel); done {
			continue
		}
		from := u.now
		if before, was := findConsent(u.before.Profile, c.Purpose, c.Channel); u.sameConsent(part) && (!was || before.Status != profile.ConsentGranted || !u.refusedSince(c.Purpose)) {
			from = u.before
		}
		if c, ok := findConsent(from.Profile, c.Purpose, c.Channel); ok {
			c.Expires = copyOptional(c.Expires)
			u.result.Consents = append(u.result.Consents, c)
			u.origins[part] = from.of(part)
		}
	}
	slices.SortFunc(u.result.Consents, profile.CompareConsents)
}

// sameConsent is untouched for a consent, which may be absent.
func (u *undoer) sameConsent(part Part) bool {
	_, is := findConsent(u.now.Profile, part.Purpose, part.Channel)
	_, was := findConsent(u.made.Profile, part.Purpose, part.Channel)
	return !is && !was || u.untouched(part)
}

// refusedSince reports whether a purpose was denied or withdrawn in general after the merge.
func (u *undoer) refusedSince(purpose string) bool {
	c, ok := findConsent(u.now.Profile, purpose, "")
	return ok && c.Status != profile.ConsentGranted && !u.untouched(consentPart(c))
}

// restrictedSince reports whether what is decided now permits less than what the merge made of it.
func (u *undoer) restrictedSince(now profile.Consent) bool {
	made, ok := u.made.decide(now.Purpose, now.Channel)
	return ok && until(now) < until(made.consent)
}

// restore returns the merged profile as it was, with what was refused since.
func (u *undoer) restore(was Side) Side {
	b := builder{result: was.Profile.Clone(), origins: make(map[Part]Origin)}
	byPath["lifecycle"].take(b.result, was.Profile)
	for _, part := range Parts(was.Profile) {
		b.origins[part] = was.of(part)
	}
	refuse := func(d decision) {
		at := slices.IndexFunc(b.result.Consents, func(c profile.Consent) bool {
			return c.Purpose == d.consent.Purpose && c.Channel == d.consent.Channel
		})
		d.consent.Expires = copyOptional(d.consent.Expires)
		if at < 0 {
			b.result.Consents = append(b.result.Consents, d.consent)
		} else if until(d.consent) < until(b.result.Consents[at]) {
			b.result.Consents[at] = d.consent
		} else {
			return
		}
		b.origins[consentPart(d.consent)] = d.origin
	}
	for _, c := range u.now.Profile.Consents {
		part := consentPart(c)
		if u.untouched(part) {
			continue
		}
		// A grant that is left says nothing to who has not granted as much.
		if had, ok := was.decide(c.Purpose, c.Channel); c.Status != profile.ConsentGranted || ok && until(c) < until(had.consent) && u.restrictedSince(c) {
			refuse(decision{consent: c, origin: u.now.of(part)})
		}
	}
	for _, c := range was.Profile.Consents {
		if c.Status != profile.ConsentGranted {
			continue
		}
		if d, ok := u.now.decide(c.Purpose, c.Channel); ok && (u.refusedSince(c.Purpose) || u.restrictedSince(d.consent)) {
			refuse(d)
		}
	}
	slices.SortFunc(b.result.Consents, profile.CompareConsents)
	return b.side()
}

func (u *undoer) identifiers() {
	u.result.Identifiers = nil
	for _, id := range u.now.Profile.Identifiers {
		part := identifierPart(id)
		was := slices.Contains(u.before.Profile.Identifiers, id)
		if !was && slices.Contains(u.made.Profile.Identifiers, id) {
			continue // it goes back with the merged profile
		}
		u.result.Identifiers = append(u.result.Identifiers, id)
		if was && u.untouched(part) {
			u.origins[part] = u.before.of(part)
		} else {
			u.origins[part] = u.now.of(part)
		}
	}
}

func (u *undoer) custom() {
	ids := slices.Concat(customIDs(u.now.Profile), customIDs(u.before.Profile))
	u.result.Custom = nil
	for _, id := range ids {
		part := customPart(id)
		now, is := u.now.Profile.Custom[id]
		made, merged := u.made.Profile.Custom[id]
		before, was := u.before.Profile.Custom[id]
		switch {
		case !is && !merged || is && merged && u.untouched(part):
			if was {
				u.setCustom(id, before)
				u.origins[part] = u.before.of(part)
			}
		case is && merged && isList(now) && isList(made) && (!was || isList(before)):
			u.list(part, &now.List, before.List, made.List, now.List)
			if now.List != nil {
				u.setCustom(id, now)
			}
		case is:
			u.setCustom(id, now)
			u.origins[part] = u.now.of(part)
		}
	}
}

func isList(v profile.Value) bool { return v.Type == profile.TypeStringList }
