package merging_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/merging"
)

// permits asks the engine's twin whether the consents permit a purpose over a channel on a day.
func permits(s *audience.Schema, consents []profile.Consent, purpose, channel string, day int64) audience.Tri {
	facts := make(audience.Facts)
	for _, c := range consents {
		until := audience.MinDay
		if c.Status == "granted" {
			until = audience.MaxDay
			if c.Expires != nil {
				until = *c.Expires
			}
		}
		facts[audience.ConsentName(c.Purpose, c.Channel)] = audience.Value{Num: until}
	}
	return audiencetest.Eval(audience.Consent{Purpose: purpose, Channel: channel}, facts, day, s, nil)
}

// refuses reports whether the consents say no in so many words.
func refuses(consents []profile.Consent, purpose, channel string) bool {
	for _, asked := range []string{channel, ""} {
		at := slices.IndexFunc(consents, func(c profile.Consent) bool { return c.Purpose == purpose && c.Channel == asked })
		if at >= 0 {
			return consents[at].Status != "granted"
		}
	}
	return false
}

// sets are all sets of decisions about marketing, in general, by e-mail and by SMS.
func sets() [][]profile.Consent {
	decisions := []*profile.Consent{nil, {Status: "denied"}, {Status: "withdrawn"}, {Status: "granted"}, {Status: "granted", Expires: ptr(int64(10))}, {Status: "granted", Expires: ptr(int64(20))}}
	all := [][]profile.Consent{nil}
	for _, channel := range []string{"", "email", "sms"} {
		var next [][]profile.Consent
		for _, set := range all {
			for _, d := range decisions {
				more := slices.Clone(set)
				if d != nil {
					more = append(more, profile.Consent{Purpose: "marketing", Channel: channel, Status: d.Status, Expires: d.Expires})
				}
				next = append(next, more)
			}
		}
		all = next
	}
	return all
}

// TestAMergePermitsNothingThatEitherRefused goes through all pairs of sets of decisions.
func TestAMergePermitsNothingThatEitherRefused(t *testing.T) {
	s, err := audience.NewSchema("EUR", nil)
	if err != nil {
		t.Fatal(err)
	}
	all := sets()
	if len(all) != 216 {
		t.Fatalf("%d sets, want 6³", len(all))
	}
	channels, days := []string{"", "email", "sms", "post"}, []int64{5, 15, 25}
	// What each set says, asked once.
	type question struct {
		channel string
		day     int64
	}
	say := make([]map[question]audience.Tri, len(all))
	for i, set := range all {
		say[i] = make(map[question]audience.Tri)
		for _, channel := range channels {
			for _, day := range days {
				say[i][question{channel, day}] = permits(s, set, "marketing", channel, day)
			}
		}
	}
	for i, x := range all {
		for j, y := range all {
			got := merging.Merge(merging.Side{Profile: &profile.Profile{Consents: x}}, merging.Side{Profile: &profile.Profile{Consents: y}}, profile.MergeMostRecent, nil).Profile.Consents
			for _, channel := range channels {
				no := refuses(x, "marketing", channel) || refuses(y, "marketing", channel)
				if no && !refuses(got, "marketing", channel) {
					t.Fatalf("merging %v and %v gave %v, which does not refuse %q", x, y, got, channel)
				}
				for _, day := range days {
					q := question{channel, day}
					a, b, m := say[i][q], say[j][q], permits(s, got, "marketing", channel, day)
					// The less that either permits; who says nothing forbids nothing.
					want := min(a, b)
					if a == audience.Unknown || b == audience.Unknown {
						want = max(a, b)
						if a == audience.False || b == audience.False {
							want = audience.False
						}
					}
					if m != want || no && m == audience.True || m == audience.True && a != audience.True && b != audience.True {
						t.Fatalf("merging %v and %v gave %v, which says %v of %q on day %d; the two say %v and %v", x, y, got, m, channel, day, a, b)
					}
				}
			}
			for _, c := range slices.Concat(x, y) {
				if !slices.ContainsFunc(got, func(o profile.Consent) bool { return o.Channel == c.Channel }) {
					t.Fatalf("merging %v and %v gave %v, where nothing is said of %q", x, y, got, c.Channel)
				}
			}
		}
	}
}

func TestWhichOfTwoDecisionsIsKept(t *testing.T) {
	consent := func(channel, status string, hour int, source string) profile.Consent {
		c := profile.Consent{Purpose: "marketing", Channel: channel, Status: status, Source: source}
		if hour > 0 {
			c.Decided = at(hour)
		}
		return c
	}
	for name, c := range map[string]struct {
		a, b, want []profile.Consent
	}{
		"a general refusal speaks for the channel that the other granted": {
			[]profile.Consent{consent("", "denied", 1, "form")}, []profile.Consent{consent("email", "granted", 2, "shop")},
			[]profile.Consent{consent("", "denied", 1, "form"), consent("email", "denied", 1, "form")},
		},
		"a channel's own refusal before a general one": {
			[]profile.Consent{consent("", "denied", 2, "form")}, []profile.Consent{consent("email", "withdrawn", 1, "shop")},
			[]profile.Consent{consent("", "denied", 2, "form"), consent("email", "withdrawn", 1, "shop")},
		},
		"the later of two refusals": {
			[]profile.Consent{consent("", "denied", 1, "form")}, []profile.Consent{consent("", "withdrawn", 2, "shop")},
			[]profile.Consent{consent("", "withdrawn", 2, "shop")},
		},
		"one with a time": {
			[]profile.Consent{consent("", "granted", 0, "form")}, []profile.Consent{consent("", "granted", 1, "shop")},
			[]profile.Consent{consent("", "granted", 1, "shop")},
		},
		"else the survivor's": {
			[]profile.Consent{consent("", "granted", 1, "form")}, []profile.Consent{consent("", "granted", 1, "shop")},
			[]profile.Consent{consent("", "granted", 1, "form")},
		},
	} {
		got := merging.Merge(merging.Side{Profile: &profile.Profile{Consents: c.a}}, merging.Side{Profile: &profile.Profile{Consents: c.b}}, profile.MergeMostRecent, nil).Profile.Consents
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestARefusalSinceTheMergeReachesBoth merges two sets of decisions, changes what came of it, and takes the merge back.
func TestARefusalSinceTheMergeReachesBoth(t *testing.T) {
	s, err := audience.NewSchema("EUR", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(11, 11))
	all := sets()
	refusals, restricted, restored := 0, 0, 0
	for range 5000 {
		a := merging.Side{Profile: &profile.Profile{Consents: pick(r, all...), UpdateTime: at(1)}}
		b := merging.Side{Profile: &profile.Profile{Consents: pick(r, all...), UpdateTime: at(2)}}
		made := merging.Merge(a, b, profile.MergeMostRecent, nil)
		made.Profile.UpdateTime = at(3)
		// Some channels have another decision since.
		next := made.Profile.Clone()
		since := make(map[string]string)
		other := pick(r, all...)
		for _, channel := range []string{"", "email", "sms"} {
			if r.IntN(2) == 0 {
				continue
			}
			next.Consents = slices.DeleteFunc(next.Consents, func(c profile.Consent) bool { return c.Channel == channel })
			for _, c := range other {
				if c.Channel == channel {
					c.Decided = at(4)
					next.Consents = append(next.Consents, c)
					since[channel] = c.Status
				}
			}
		}
		slices.SortFunc(next.Consents, profile.CompareConsents)
		now := wrote(made, next, 4, "")
		survivor, back := merging.Undo(merging.Record{Survivor: a, Merged: b, Result: made}, now)
		for _, channel := range []string{"", "email", "sms", "post"} {
			decided := channel // where what holds for the channel now was decided
			if !slices.ContainsFunc(next.Consents, func(c profile.Consent) bool { return c.Channel == channel }) {
				decided = ""
			}
			refused := since[decided] == "denied" || since[decided] == "withdrawn"
			general := since[""] == "denied" || since[""] == "withdrawn"
			for _, of := range []merging.Side{survivor, back} {
				if refused && !refuses(of.Profile.Consents, "marketing", channel) {
					t.Fatalf("%v and %v, now %v, became %v and %v: %q was refused since", a.Profile.Consents, b.Profile.Consents, next.Consents,
						survivor.Profile.Consents, back.Profile.Consents, channel)
				}
				for _, day := range []int64{5, 15, 25} {
					can, could := permits(s, of.Profile.Consents, "marketing", channel, day), permits(s, next.Consents, "marketing", channel, day)
					if general && can == audience.True && could != audience.True {
						t.Fatalf("%v and %v, now %v, became %v and %v: one of them permits %q on day %d, against a general refusal since",
							a.Profile.Consents, b.Profile.Consents, next.Consents, survivor.Profile.Consents, back.Profile.Consents, channel, day)
					}
					// An end that was brought forward holds for both, too; a decision that was only taken out was the survivor's alone.
					own := func(c profile.Consent) bool { return c.Channel == channel }
					takenOut := decided != channel && slices.ContainsFunc(made.Profile.Consents, own)
					if since[decided] == "granted" && !takenOut && could != audience.True && permits(s, made.Profile.Consents, "marketing", channel, day) == audience.True {
						if restricted++; can == audience.True {
							t.Fatalf("%v and %v, merged %v, now %v, became %v and %v: one of them permits %q on day %d, which was taken back since",
								a.Profile.Consents, b.Profile.Consents, made.Profile.Consents, next.Consents, survivor.Profile.Consents, back.Profile.Consents, channel, day)
						}
					}
				}
			}
			if refused {
				refusals++
			}
			// Nothing is granted to the merged profile that it had not granted itself.
			for _, day := range []int64{5, 15, 25} {
				is, was := permits(s, back.Profile.Consents, "marketing", channel, day), permits(s, b.Profile.Consents, "marketing", channel, day)
				if is == audience.True && was != audience.True {
					t.Fatalf("%v became %v", b.Profile.Consents, back.Profile.Consents)
				}
				if is == audience.True {
					restored++
				}
			}
			if len(since) == 0 && slices.Equal(next.Consents, made.Profile.Consents) && !slices.EqualFunc(back.Profile.Consents, b.Profile.Consents, func(x, y profile.Consent) bool { return x.Channel == y.Channel && x.Status == y.Status }) {
				t.Fatalf("%v became %v, and nothing was refused since", b.Profile.Consents, back.Profile.Consents)
			}
		}
	}
	if refusals < 500 || restricted < 500 || restored < 500 {
		t.Errorf("%d refusals and %d earlier ends since, and %d grants that came back: too few to say anything", refusals, restricted, restored)
	}
}

// TestMergingConsentsDoesNotDependOnTheOrder merges three profiles in all orders, which must permit the same.
func TestMergingConsentsDoesNotDependOnTheOrder(t *testing.T) {
	s, err := audience.NewSchema("EUR", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 5))
	all := sets()
	merge := func(a, b []profile.Consent) []profile.Consent {
		return merging.Merge(merging.Side{Profile: &profile.Profile{Consents: a}}, merging.Side{Profile: &profile.Profile{Consents: b}}, profile.MergeMostRecent, nil).Profile.Consents
	}
	for range 1500 {
		x, y, z := pick(r, all...), pick(r, all...), pick(r, all...)
		one := merge(merge(x, y), z)
		for _, other := range [][]profile.Consent{merge(x, merge(y, z)), merge(merge(z, y), x), merge(y, merge(x, z))} {
			for _, channel := range []string{"", "email", "sms", "post"} {
				for _, day := range []int64{5, 15, 25} {
					if permits(s, one, "marketing", channel, day) != permits(s, other, "marketing", channel, day) {
						t.Fatalf("merging %v, %v and %v gives %v or %v", x, y, z, one, other)
					}
				}
			}
		}
	}
}
