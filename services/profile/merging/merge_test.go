package merging_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/merging"
)

// naive decides part by part on plain words, as the package's documentation says. Consents are left to their own test.
type naive struct {
	a, b   merging.Side
	policy profile.MergePolicy
	trust  []string
}

// first returns 0 where the survivor's origin comes first and 1 where the other one's does.
func (n naive) first(a, b merging.Origin) int {
	order := []int{0, 1}
	of := []merging.Origin{a, b}
	slices.SortStableFunc(order, func(i, j int) int { return of[j].Time.Compare(of[i].Time) })
	if n.policy == profile.MergeMostTrusted {
		place := func(source string) int {
			for i, s := range n.trust {
				if s == source {
					return i
				}
			}
			return 1000
		}
		slices.SortStableFunc(order, func(i, j int) int { return place(of[i].Source) - place(of[j].Source) })
	}
	return order[0]
}

var isListPart = map[string]bool{
	"roles": true, "interests": true, "values": true, "needs": true, "preferred_channels": true, "preferred_brands": true, "custom.tags": true,
}

// elements are those of a list as facts writes it, where no element has a space.
func elements(fact string) []string {
	_, inner, _ := strings.Cut(fact, "[")
	return strings.Fields(strings.TrimSuffix(inner, "]"))
}

func joined(list []string) string {
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

func (n naive) merge() (map[merging.Part]string, map[merging.Part]merging.Origin) {
	sides := []merging.Side{n.a, n.b}
	of := []map[merging.Part]string{facts(n.a.Profile), facts(n.b.Profile)}
	from := []map[merging.Part]merging.Origin{origins(n.a), origins(n.b)}
	values, where := make(map[merging.Part]string), make(map[merging.Part]merging.Origin)
	all := maps.Clone(of[0])
	maps.Copy(all, of[1])
	// Two employers, two homes: one of them as a whole.
	whole := make(map[string]int)
	employers := []string{n.a.Profile.Employer.Name, n.b.Profile.Employer.Name}
	if employers[0] != "" && employers[1] != "" && employers[0] != employers[1] {
		key := merging.Part{Path: "employer.name"}
		w := n.first(from[0][key], from[1][key])
		whole["employer.name"], whole["employer.industry"], whole["employer.size"] = w, w, w
	}
	regions := []string{n.a.Profile.Region, n.b.Profile.Region}
	if regions[0] != "" && regions[1] != "" && !strings.HasPrefix(regions[0], regions[1]) && !strings.HasPrefix(regions[1], regions[0]) {
		key := merging.Part{Path: "region"}
		w := n.first(from[0][key], from[1][key])
		whole["region"], whole["postal_code"] = w, w
	}
	for part := range all {
		x, knownX := of[0][part]
		y, knownY := of[1][part]
		w, isWhole := whole[part.Path]
		switch {
		case part.Path == "consents":
			continue
		case isWhole:
			if _, known := of[w][part]; !known {
				continue
			}
		case !knownX:
			w = 1
		case !knownY:
			w = 0
		default:
			w = n.first(from[0][part], from[1][part])
		}
		value := of[w][part]
		switch {
		case isWhole || !knownX || !knownY:
		case part.Path == "birth_date" && x != y:
			p, q := sides[0].Profile.BirthDate, sides[1].Profile.BirthDate
			if p.First <= q.First && q.Last <= p.Last {
				w = 1
			} else if q.First <= p.First && p.Last <= q.Last {
				w = 0
			}
			value = of[w][part]
		case isListPart[part.Path]:
			head, _, _ := strings.Cut(x, "[")
			value = head + "[" + joined(append(elements(x), elements(y)...)) + "]"
		}
		values[part], where[part] = value, from[w][part]
	}
	return values, where
}

func TestMergingIsDecidedPartByPart(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	contradictions := 0
	for range 3000 {
		a, b := side(r), side(r)
		policy := pick(r, profile.MergeMostRecent, profile.MergeMostTrusted)
		trust := pick(r, nil, []string{"crm"}, []string{"shop", "crm"}, []string{"web", "", "crm"})
		beforeA, beforeB := a.Profile.Clone(), b.Profile.Clone()
		got := merging.Merge(a, b, policy, trust)
		if !reflect.DeepEqual(a.Profile, beforeA) || !reflect.DeepEqual(b.Profile, beforeB) {
			t.Fatal("a side was changed")
		}
		if again := merging.Merge(a, b, policy, trust); !reflect.DeepEqual(again, got) {
			t.Fatal("the same merge has two results")
		}
		if got.Profile.Traits != nil {
			t.Fatal("the result has traits, of which events nobody knows")
		}
		canonical := got.Profile.Clone()
		if err := canonical.Canonicalize(schema, rules); err != nil || !reflect.DeepEqual(canonical, got.Profile) {
			t.Fatalf("%+v is not canonical: %v", got.Profile, err)
		}
		if p := got.Profile; p.UID != a.Profile.UID || p.Revision != a.Profile.Revision || !p.CreateTime.Equal(a.Profile.CreateTime) || !p.UpdateTime.Equal(a.Profile.UpdateTime) {
			t.Fatal("the result does not have the survivor's uid, revision and times")
		}
		values, where := facts(got.Profile), origins(got)
		wantValues, wantWhere := naive{a, b, policy, trust}.merge()
		for part := range values {
			if part.Path == "consents" {
				delete(values, part)
				delete(where, part)
			}
		}
		if !maps.Equal(values, wantValues) {
			t.Fatalf("merging\n%v\nand\n%v\nby %d with %q gave\n%v\nwant\n%v", facts(a.Profile), facts(b.Profile), policy, trust, values, wantValues)
		}
		if !maps.Equal(where, wantWhere) {
			t.Fatalf("the origins are\n%v\nwant\n%v", where, wantWhere)
		}
		if g := got.Profile.Gender; a.Profile.Gender != "" && b.Profile.Gender == g && a.Profile.Gender != g {
			contradictions++
		}
	}
	if contradictions < 20 {
		t.Errorf("the other profile won %d contradictions: too few to say anything", contradictions)
	}
}

func TestDisjointProfilesLoseNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range rounds(2000) {
		a, b := side(r), side(r)
		// What a knows, b does not: neither the part itself nor, of consents, anything of the purpose.
		known, purposes := make(map[string]bool), make(map[string]bool)
		for _, part := range merging.Parts(a.Profile) {
			known[part.Path] = true
			purposes[part.Purpose] = true
		}
		less := plain(b.Profile)
		less.Consents = slices.DeleteFunc(less.Consents, func(c profile.Consent) bool { return purposes[c.Purpose] })
		for path := range known {
			if path == "consents" || path == "identifiers" {
				continue
			}
			mask, err := profile.ParseMask([]string{path}, nil)
			if err != nil {
				t.Fatal(err)
			}
			mask.Apply(less, &profile.Profile{})
		}
		if err := less.Canonicalize(schema, rules); err != nil {
			t.Fatal(err)
		}
		b = wrote(b, less, 9, "web")
		for _, policy := range []profile.MergePolicy{profile.MergeMostRecent, profile.MergeMostTrusted} {
			got := merging.Merge(a, b, policy, []string{"crm"})
			want := facts(b.Profile)
			maps.Copy(want, facts(a.Profile))
			if have := facts(got.Profile); !maps.Equal(have, want) {
				t.Fatalf("merging\n%v\nand\n%v\ngave\n%v", facts(a.Profile), facts(b.Profile), have)
			}
			wantFrom := origins(b)
			maps.Copy(wantFrom, origins(a))
			for part, origin := range origins(got) {
				// An identifier of both may have either origin.
				if part.Path != "identifiers" && origin != wantFrom[part] {
					t.Fatalf("%+v has the origin %v, want %v", part, origin, wantFrom[part])
				}
			}
		}
	}
}

// TestWhoWins tells the rules as cases: what the survivor and the other profile say, each with an hour and a source.
func TestWhoWins(t *testing.T) {
	type says struct {
		profile.Profile
		hour   int
		source string
	}
	trust := []string{"crm", "shop"}
	day := func(first, last int64) profile.Profile {
		return profile.Profile{BirthDate: &profile.Interval{First: first, Last: last}}
	}
	job := func(name, industry, size string) profile.Profile {
		return profile.Profile{Employer: profile.Employer{Name: name, Industry: industry, Size: size}}
	}
	eur := func(amount int64) profile.Profile {
		return profile.Profile{Income: &profile.Money{Currency: "EUR", Amount: amount}}
	}
	for name, c := range map[string]struct {
		a, b            says
		recent, trusted profile.Profile
	}{
		"the later one": {
			says{profile.Profile{Gender: "male"}, 1, "crm"}, says{profile.Profile{Gender: "female"}, 2, "web"},
			profile.Profile{Gender: "female"}, profile.Profile{Gender: "male"},
		},
		"the more trusted one": {
			says{profile.Profile{Gender: "male"}, 2, "shop"}, says{profile.Profile{Gender: "female"}, 1, "crm"},
			profile.Profile{Gender: "male"}, profile.Profile{Gender: "female"},
		},
		"of sources not named the later one": {
			says{profile.Profile{Gender: "male"}, 1, "web"}, says{profile.Profile{Gender: "female"}, 2, ""},
			profile.Profile{Gender: "female"}, profile.Profile{Gender: "female"},
		},
		"the survivor's": {
			says{profile.Profile{Gender: "male"}, 1, "web"}, says{profile.Profile{Gender: "female"}, 1, ""},
			profile.Profile{Gender: "male"}, profile.Profile{Gender: "male"},
		},
		"what is known": {
			says{profile.Profile{Gender: "male"}, 1, ""}, says{profile.Profile{Region: "FR"}, 2, "crm"},
			profile.Profile{Gender: "male", Region: "FR"}, profile.Profile{Gender: "male", Region: "FR"},
		},
		"a day within the other one's year": {says{day(5, 5), 1, ""}, says{day(0, 364), 2, "crm"}, day(5, 5), day(5, 5)},
		"a month of a year":                 {says{day(0, 364), 2, "crm"}, says{day(0, 30), 1, ""}, day(0, 30), day(0, 30)},
		"the later of two days":             {says{day(5, 5), 1, "crm"}, says{day(6, 6), 2, ""}, day(6, 6), day(5, 5)},
		"one employer as a whole": {
			says{job("Atelier", "music", "1"), 1, "crm"}, says{job("Forge", "", ""), 2, ""}, job("Forge", "", ""), job("Atelier", "music", "1"),
		},
		"parts of the same employer": {
			says{job("Atelier", "music", ""), 1, ""}, says{job("Atelier", "arts", "1"), 2, ""}, job("Atelier", "arts", "1"), job("Atelier", "arts", "1"),
		},
		"one income as a whole": {
			says{profile.Profile{Income: &profile.Money{Currency: "USD", Amount: 9}}, 1, ""}, says{eur(3), 2, ""}, eur(3), eur(3),
		},
		"one home as a whole": {
			says{profile.Profile{Region: "FR-40", PostalCode: "40100"}, 1, "crm"}, says{profile.Profile{Region: "DE"}, 2, ""},
			profile.Profile{Region: "DE"}, profile.Profile{Region: "FR-40", PostalCode: "40100"},
		},
		"parts of one home": {
			says{profile.Profile{Region: "FR-40", PostalCode: "40100"}, 1, "crm"}, says{profile.Profile{Region: "FR"}, 2, ""},
			profile.Profile{Region: "FR", PostalCode: "40100"}, profile.Profile{Region: "FR-40", PostalCode: "40100"},
		},
		"both lists": {
			says{profile.Profile{Interests: []string{"a", "c"}, Needs: []string{}}, 1, ""}, says{profile.Profile{Interests: []string{"b", "c"}, Values: []string{}}, 2, ""},
			profile.Profile{Interests: []string{"a", "b", "c"}, Needs: []string{}, Values: []string{}},
			profile.Profile{Interests: []string{"a", "b", "c"}, Needs: []string{}, Values: []string{}},
		},
	} {
		sideOf := func(s says) merging.Side {
			return merging.Side{Profile: &s.Profile, Provenance: merging.Track(nil, &s.Profile, merging.Provenance{}, at(s.hour), s.source)}
		}
		// A source of "" is not tracked: the time of update stands for it.
		c.a.UpdateTime, c.b.UpdateTime = at(c.a.hour), at(c.b.hour)
		for policy, want := range map[profile.MergePolicy]profile.Profile{profile.MergeMostRecent: c.recent, profile.MergeMostTrusted: c.trusted} {
			got := merging.Merge(sideOf(c.a), sideOf(c.b), policy, trust).Profile
			want.UpdateTime = c.a.UpdateTime
			if !reflect.DeepEqual(got, &want) {
				t.Errorf("%s, by %d: %+v, want %+v", name, policy, got, want)
			}
		}
	}
}

func TestAMergeMayExceedTheLimitOfIdentifiers(t *testing.T) {
	a, b := new(profile.Profile), new(profile.Profile)
	for n := range 64 {
		a.Identifiers = append(a.Identifiers, profile.Identifier{Kind: "external_id", Source: "a", Value: fmt.Sprint(n)})
		b.Identifiers = append(b.Identifiers, profile.Identifier{Kind: "external_id", Source: "b", Value: fmt.Sprint(n)})
	}
	if got := merging.Merge(merging.Side{Profile: a}, merging.Side{Profile: b}, profile.MergeMostRecent, nil); len(got.Profile.Identifiers) != 128 {
		t.Errorf("%d identifiers remain, want all 128", len(got.Profile.Identifiers))
	}
}
