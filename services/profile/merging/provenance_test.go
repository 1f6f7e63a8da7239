package merging_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/merging"
)

// everything has every field.
func everything() *profile.Profile {
	return &profile.Profile{
		GivenName: ptr("Zoë"), FamilyName: ptr(""), BirthDate: &profile.Interval{First: 1, Last: 1}, Gender: "other", Region: "FR-40", PostalCode: "40100",
		JobLevel: "cxo", Income: &profile.Money{Currency: "EUR", Amount: 5}, Education: "master", MaritalStatus: "single", Occupation: "luthière",
		Employer: profile.Employer{Name: "Atelier", Industry: "music", Size: "1"}, Household: "h1", Roles: []string{}, Lifecycle: "lapsed",
		Interests: []string{"a"}, Values: []string{"b"}, Needs: []string{}, PreferredChannels: []string{"email"}, PreferredBrands: []string{"c"},
		Consents: []profile.Consent{
			{Purpose: "marketing", Status: "denied"},
			{Purpose: "marketing", Channel: "email", Status: "granted", Expires: ptr(int64(9)), Decided: at(1), Source: "form"},
		},
		Identifiers: []profile.Identifier{{Kind: "external_id", Source: "crm", Value: "1"}, {Kind: "email", Value: "z@example.com"}},
		Custom:      map[string]profile.Value{"plan": {Type: profile.TypeString, Text: "gold"}, "tags": {Type: profile.TypeStringList, List: []string{"a"}}},
	}
}

func TestEveryFieldIsAPart(t *testing.T) {
	p := everything()
	v := reflect.ValueOf(*p)
	for i := range v.NumField() {
		switch name := v.Type().Field(i).Name; name {
		case "UID", "Revision", "CreateTime", "UpdateTime", "Traits": // the store's own
		default:
			if v.Field(i).IsZero() {
				t.Errorf("the field %s is not tested; give it a part", name)
			}
		}
	}
	parts := merging.Parts(p)
	if want := facts(p); len(parts) != len(want) {
		t.Errorf("%d parts, want %d", len(parts), len(want))
	}
	for _, part := range parts {
		path := part.Path
		if _, err := profile.ParseMask([]string{path}, p); err != nil {
			t.Errorf("the part %s is no path of an update mask: %v", path, err)
		}
		// Forgetting the part, as an update would, changes its origin and no other one's.
		if strings.Contains("consents identifiers", path) {
			continue
		}
		mask, err := profile.ParseMask([]string{path}, p)
		if err != nil {
			t.Fatal(err)
		}
		less := p.Clone()
		mask.Apply(less, &profile.Profile{})
		s := merging.Side{Profile: less, Provenance: merging.Track(nil, less, merging.Provenance{}, at(1), "crm")}
		s = wrote(s, p.Clone(), 2, "shop")
		for other, origin := range origins(s) {
			want := merging.Origin{Time: at(1), Source: "crm"}
			if other == part {
				want = merging.Origin{Time: at(2), Source: "shop"}
			}
			if origin != want {
				t.Errorf("after %s was set, %+v has the origin %v", path, other, origin)
			}
		}
	}
}

func TestANewProfileOfNoSourceNeedsNoBytes(t *testing.T) {
	p := everything()
	p.CreateTime, p.UpdateTime = at(3), at(3)
	v := merging.Track(nil, p, merging.Provenance{}, at(3), "")
	if b := v.Encode(nil, p); len(b) != 0 || !v.IsZero() {
		t.Errorf("%d bytes, want none", len(b))
	}
	if o := v.Of(p, merging.Part{Path: "gender"}); o != (merging.Origin{Time: at(3)}) {
		t.Errorf("the origin is %v, want the time of update", o)
	}
	// The next write remembers when the first one was.
	s := merging.Side{Profile: p, Provenance: v}
	next := p.Clone()
	next.Gender, next.Custom = "male", maps.Clone(p.Custom)
	next.Custom["plan"] = profile.Value{Type: profile.TypeString, Text: "silver"}
	s = wrote(s, next, 7, "web")
	for part, o := range origins(s) {
		want := merging.Origin{Time: at(3)}
		if part.Path == "gender" || part.Path == "custom.plan" {
			want = merging.Origin{Time: at(7), Source: "web"}
		}
		if o != want {
			t.Errorf("%+v has the origin %v, want %v", part, o, want)
		}
	}
	// One entry, and one with two parts: a version, two times, two sources, a count, a field, an attribute.
	if b := s.Provenance.Encode(nil, s.Profile); len(b) > 1+8+1+6+4+1+1+6 {
		t.Errorf("two changes take %d bytes", len(b))
	}
	if b := merging.Track(nil, p, v, at(3), "crm").Encode(nil, p); len(b) > 1+8+4 {
		t.Errorf("one write from a source takes %d bytes", len(b))
	}
}

// TestTrackingIsThatOfEachPart follows histories beside a twin that keeps one origin for each part.
func TestTrackingIsThatOfEachPart(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		p := &profile.Profile{UpdateTime: at(0)}
		mutate(r, p)
		s := merging.Side{Profile: p, Provenance: merging.Track(nil, p, merging.Provenance{}, at(0), "")}
		want := make(map[merging.Part]merging.Origin)
		for part := range facts(p) {
			want[part] = merging.Origin{Time: at(0)}
		}
		for hour := 1; hour < 12; hour++ {
			source := pick(r, sources...)
			before := facts(s.Profile)
			s = write(r, s, hour, source, 1+r.IntN(4))
			after := facts(s.Profile)
			maps.DeleteFunc(want, func(part merging.Part, _ merging.Origin) bool { return after[part] == "" })
			for part, value := range after {
				if before[part] != value {
					want[part] = merging.Origin{Time: at(hour), Source: source}
				}
			}
			if got := origins(s); !maps.Equal(got, want) {
				t.Fatalf("the origins are %v, want %v", got, want)
			}
			b := s.Provenance.Encode(nil, s.Profile)
			back, err := merging.Decode(b, s.Profile)
			if err != nil || !reflect.DeepEqual(back, s.Provenance) {
				t.Fatalf("%v came back as %v (%v)", s.Provenance, back, err)
			}
			for range 3 { // maps are walked in another order each time
				if again := back.Encode(nil, s.Profile); !bytes.Equal(again, b) {
					t.Fatal("the same provenance has two stored forms")
				}
			}
		}
	}
}

func TestProvenanceStaysWhereOnlyTheTimeOfUpdateMoves(t *testing.T) {
	p := everything()
	p.UpdateTime = at(1)
	for name, s := range map[string]merging.Side{
		"unknown": {Profile: p}, "known": wrote(merging.Side{Profile: &profile.Profile{UpdateTime: at(0)}}, p.Clone(), 1, "crm"),
	} {
		b := s.Provenance.Encode(nil, p)
		if same := merging.Settled(b, at(1).UnixMicro(), at(1).UnixMicro()); !bytes.Equal(same, b) {
			t.Errorf("%s: at the same time %x became %x", name, b, same)
		}
		moved := p.Clone()
		moved.UpdateTime = at(9)
		v, err := merging.Decode(merging.Settled(b, at(1).UnixMicro(), at(9).UnixMicro()), moved)
		if err != nil || !maps.Equal(origins(merging.Side{Profile: moved, Provenance: v}), origins(s)) {
			t.Errorf("%s: became %v (%v)", name, v, err)
		}
	}
}

func TestProvenanceHoldsNoContactData(t *testing.T) {
	p := everything()
	p.UpdateTime = at(1)
	next := p.Clone()
	next.Identifiers = []profile.Identifier{{Kind: "external_id", Source: "MARK", Value: "MARK"}, {Kind: "email", Value: "MARK@example.com"}}
	next.GivenName = ptr("MARK")
	s := wrote(merging.Side{Profile: p}, next, 2, "web")
	b := s.Provenance.Encode(nil, next)
	if bytes.Contains(b, []byte("MARK")) {
		t.Errorf("%q holds contact data", b)
	}
	back, err := merging.Decode(b, next)
	if want := (merging.Origin{Time: at(2), Source: "web"}); err != nil || back.Of(next, merging.Part{Path: "identifiers", Identifier: next.Identifiers[1]}) != want {
		t.Errorf("an identifier came back with %v (%v)", back, err)
	}
}

func TestProvenanceOfPartsThatAreGoneIsSkipped(t *testing.T) {
	less := &profile.Profile{Identifiers: everything().Identifiers[:1]}
	full := everything()
	full.UpdateTime, less.UpdateTime = at(1), at(1)
	s := wrote(merging.Side{Profile: less}, full, 2, "web")
	b := s.Provenance.Encode(nil, s.Profile)
	back, err := merging.Decode(b, less)
	if want := map[merging.Part]merging.Origin{merging.Parts(less)[0]: {Time: at(1)}}; err != nil || !maps.Equal(origins(merging.Side{Profile: less, Provenance: back}), want) {
		t.Errorf("read as %v (%v), want %v", back, err, want)
	}
	// Here most parts are the old ones, and the new identifier is an exception that the profile lacks.
	more := less.Clone()
	more.Gender, more.Region, more.Identifiers = "male", "FR", nil
	s = wrote(merging.Side{Profile: more}, &profile.Profile{Gender: "male", Region: "FR", Identifiers: less.Identifiers}, 2, "web")
	b = s.Provenance.Encode(nil, s.Profile)
	if back, err = merging.Decode(b, more); err != nil || back.Of(more, merging.Part{Path: "gender"}) != (merging.Origin{Time: at(1)}) {
		t.Errorf("without its identifier it was read as %v (%v)", back, err)
	}
}

func TestPartsOfANewerProgramAreSkipped(t *testing.T) {
	p := &profile.Profile{Gender: "male", Region: "FR", Household: "h", UpdateTime: at(0)}
	s := wrote(merging.Side{Profile: p}, &profile.Profile{Gender: "male", Region: "FR", Household: "i"}, 1, "crm")
	b := s.Provenance.Encode(nil, s.Profile)
	// Two parts more of the same origin: a field without a key and one with a key.
	if b[len(b)-2] != 1 {
		t.Fatalf("%x does not end in a count and a field", b)
	}
	b[len(b)-2] = 3
	b = append(b, 99<<1&0x7f|0x80, 99<<1>>7, (99<<1|1)&0x7f|0x80, 99<<1>>7, 3, 'n', 'e', 'w')
	if back, err := merging.Decode(b, s.Profile); err != nil || !reflect.DeepEqual(back, s.Provenance) {
		t.Errorf("read as %v (%v), want %v", back, err, s.Provenance)
	}
	for cut := 1; cut < len(b); cut++ {
		// The origin of most parts stands first, and alone is provenance: the version, eight bytes of a time, no source.
		if _, err := merging.Decode(b[:cut], s.Profile); (err == nil) != (cut == 1+8+1) {
			t.Errorf("the first %d of %d bytes were read: %v", cut, len(b), err)
		}
	}
	if _, err := merging.Decode([]byte{2}, s.Profile); err == nil {
		t.Error("another version was read")
	}
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		s := side(r)
		f.Add(s.Provenance.Encode(nil, everything()))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := everything()
		v, err := merging.Decode(b, p)
		if err != nil {
			return
		}
		again := v.Encode(nil, p)
		w, err := merging.Decode(again, p)
		if err != nil || !reflect.DeepEqual(v, w) || !bytes.Equal(w.Encode(nil, p), again) {
			t.Fatalf("%x reads as %v, which is written as %x and reads as %v (%v)", b, v, again, w, err)
		}
		for _, part := range merging.Parts(p) {
			v.Of(p, part)
		}
	})
}

func BenchmarkTrack(b *testing.B) {
	before := everything()
	before.UpdateTime = at(1)
	after := before.Clone()
	after.Gender = "male"
	b.Run("write=new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			merging.Track(nil, after, merging.Provenance{}, at(2), "")
		}
	})
	b.Run("write=change", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			merging.Track(before, after, merging.Provenance{}, at(2), "crm").Encode(nil, after)
		}
	})
}

func TestTimesAreCutToMicroseconds(t *testing.T) {
	p := &profile.Profile{Gender: "male"}
	v := merging.Track(nil, p, merging.Provenance{}, time.Date(2026, 1, 1, 0, 0, 0, 1999, time.FixedZone("", 3600)), "crm")
	if o := v.Of(p, slices.Collect(maps.Keys(facts(p)))[0]); o.Time != time.Date(2025, 12, 31, 23, 0, 0, 1000, time.UTC) {
		t.Errorf("the time is %v", o.Time)
	}
}
