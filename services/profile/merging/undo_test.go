package merging_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/merging"
)

// merged makes a random merge, as the store would keep it.
func merged(r *rand.Rand) merging.Record {
	a, b := side(r), side(r)
	made := merging.Merge(a, b, pick(r, profile.MergeMostRecent, profile.MergeMostTrusted), []string{"shop", "crm"})
	made.Profile.UpdateTime = at(10)
	made.Profile.Revision += 5
	return merging.Record{Survivor: a, Merged: b, Result: made}
}

func TestAMergeTakenBackLeavesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for range rounds(1500) {
		m := merged(r)
		got, back := merging.Undo(m, merging.Side{Profile: m.Result.Profile.Clone(), Provenance: m.Result.Provenance})
		if !reflect.DeepEqual(back.Profile, plain(m.Merged.Profile)) || !maps.Equal(origins(back), origins(m.Merged)) {
			t.Fatalf("the merged profile came back as %v, want %v", facts(back.Profile), facts(m.Merged.Profile))
		}
		if !maps.Equal(origins(got), origins(m.Survivor)) {
			t.Fatalf("the origins are %v, want %v", origins(got), origins(m.Survivor))
		}
		if got.Profile.Revision != m.Result.Profile.Revision || !got.Profile.UpdateTime.Equal(at(10)) {
			t.Fatal("revision and time are not those that the survivor has now")
		}
		got.Profile.Revision, got.Profile.UpdateTime = m.Survivor.Profile.Revision, m.Survivor.Profile.UpdateTime
		if !reflect.DeepEqual(got.Profile, plain(m.Survivor.Profile)) {
			t.Fatalf("merging\n%v\nand\n%v\nand taking it back gave\n%v", facts(m.Survivor.Profile), facts(m.Merged.Profile), facts(got.Profile))
		}
	}
}

// naiveUndo decides part by part on plain words.
func naiveUndo(m merging.Record, now merging.Side) map[merging.Part]string {
	before, made, is := facts(m.Survivor.Profile), facts(m.Result.Profile), facts(now.Profile)
	madeFrom, isFrom := origins(m.Result), origins(now)
	touched := func(part merging.Part) bool { return is[part] != made[part] || isFrom[part] != madeFrom[part] }
	all := maps.Clone(before)
	maps.Copy(all, made)
	maps.Copy(all, is)
	replaced := func(part merging.Part) (others []string) {
		was, got := m.Survivor.Profile, m.Result.Profile
		switch part.Path {
		case "employer.name", "employer.industry", "employer.size":
			if was.Employer.Name != "" && was.Employer.Name != got.Employer.Name {
				return []string{"employer.name", "employer.industry", "employer.size"}
			}
		case "region", "postal_code":
			if was.Region != "" && !strings.HasPrefix(was.Region, got.Region) && !strings.HasPrefix(got.Region, was.Region) {
				return []string{"region", "postal_code"}
			}
		}
		return nil
	}
	want := make(map[merging.Part]string)
	for part := range all {
		stays := touched(part)
		for _, path := range replaced(part) {
			stays = stays || touched(merging.Part{Path: path})
		}
		general := merging.Part{Path: "consents", Purpose: part.Purpose}
		if strings.HasPrefix(before[part], "granted") && is[general] != "" && !strings.HasPrefix(is[general], "granted") && touched(general) {
			stays = true
		}
		value := before[part]
		if stays {
			value = is[part]
		}
		if part.Path == "identifiers" {
			// Held now, unless it came with the other profile.
			if value = is[part]; made[part] != "" && before[part] == "" {
				value = ""
			}
		}
		if stays && isListPart[part.Path] && is[part] != "" {
			var left []string
			for _, e := range elements(is[part]) {
				if !slices.Contains(elements(made[part]), e) || slices.Contains(elements(before[part]), e) {
					left = append(left, e)
				}
			}
			head, _, _ := strings.Cut(is[part], "[")
			value = head + "[" + joined(left) + "]"
			if len(left) == 0 && before[part] == "" && len(elements(is[part])) > 0 {
				value = ""
			}
		}
		if value != "" {
			want[part] = value
		}
	}
	return want
}

func TestWhatWasChangedSinceStays(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range rounds(3000) {
		m := merged(r)
		now := merging.Side{Profile: m.Result.Profile.Clone(), Provenance: m.Result.Provenance}
		for hour := range r.IntN(4) {
			now = write(r, now, 11+hour, pick(r, sources...), 1+r.IntN(8))
		}
		before := now.Profile.Clone()
		got, back := merging.Undo(m, now)
		if !reflect.DeepEqual(now.Profile, before) {
			t.Fatal("the survivor was changed")
		}
		canonical := got.Profile.Clone()
		if err := canonical.Canonicalize(schema, rules); err != nil || !reflect.DeepEqual(canonical, got.Profile) {
			t.Fatalf("%+v is not canonical: %v", got.Profile, err)
		}
		if err := back.Profile.Clone().Canonicalize(schema, rules); err != nil {
			t.Fatalf("%+v is not canonical: %v", back.Profile, err)
		}
		restoredAlike(t, m, now, back)
		want := naiveUndo(m, now)
		if have := facts(got.Profile); !maps.Equal(have, want) {
			for part := range want {
				if have[part] != want[part] {
					t.Logf("%+v: %q, want %q", part, have[part], want[part])
				}
			}
			t.Fatalf("before\n%v\nmerged\n%v\nnow\n%v\ngave\n%v\nwant\n%v", facts(m.Survivor.Profile), facts(m.Result.Profile), facts(now.Profile), have, want)
		}
		was, is, made := origins(m.Survivor), origins(now), origins(m.Result)
		for part, origin := range origins(got) {
			if origin != is[part] && (origin != was[part] || made[part] != is[part]) {
				t.Fatalf("%+v has the origin %v, which is neither that of now %v nor that of before %v", part, origin, is[part], was[part])
			}
		}
	}
}

// restoredAlike holds the merged profile against what it was: consents aside, it is the same.
func restoredAlike(t *testing.T, m merging.Record, now, back merging.Side) {
	t.Helper()
	was, is := facts(m.Merged.Profile), facts(back.Profile)
	for part, value := range was {
		if part.Path != "consents" && is[part] != value {
			t.Fatalf("%+v of the merged profile came back as %q, was %q", part, is[part], value)
		}
		if part.Path != "consents" && back.Provenance.Of(back.Profile, part) != m.Merged.Provenance.Of(m.Merged.Profile, part) {
			t.Fatalf("the origin of %+v is another one", part)
		}
	}
	for part := range is {
		if part.Path != "consents" && was[part] == "" {
			t.Fatalf("the merged profile came back with %+v, which it had not", part)
		}
	}
}

func TestAChangeSinceTheMerge(t *testing.T) {
	crm := func(n string) profile.Identifier {
		return profile.Identifier{Kind: "external_id", Source: "crm", Value: n}
	}
	a := merging.Side{Profile: &profile.Profile{
		Gender: "male", JobLevel: "entry", Interests: []string{"a"}, Employer: profile.Employer{Name: "Atelier", Size: "1"}, UpdateTime: at(1),
		Identifiers: []profile.Identifier{crm("1")}, Consents: []profile.Consent{{Purpose: "marketing", Channel: "email", Status: "granted"}},
	}}
	b := merging.Side{Profile: &profile.Profile{
		Gender: "female", JobLevel: "cxo", Education: "master", Interests: []string{"b"}, Needs: []string{"n"}, UpdateTime: at(2),
		Employer: profile.Employer{Name: "Forge", Size: "2-10"}, Identifiers: []profile.Identifier{crm("2")},
		Consents: []profile.Consent{{Purpose: "marketing", Status: "denied"}},
	}}
	made := merging.Merge(a, b, profile.MergeMostRecent, nil)
	made.Profile.UpdateTime = at(3)
	next := made.Profile.Clone()
	next.JobLevel = "director"
	next.Interests = []string{"a", "b", "c"}
	next.Employer.Size = "11-50"
	next.Identifiers = []profile.Identifier{crm("1"), crm("2"), crm("3")}
	next.Consents[0] = profile.Consent{Purpose: "marketing", Status: "withdrawn", Decided: at(4)}
	now := wrote(made, next, 4, "web")
	undone, back := merging.Undo(merging.Record{Survivor: a, Merged: b, Result: made}, now)
	got := undone.Profile
	if wantBack := []profile.Consent{{Purpose: "marketing", Status: "denied"}}; !reflect.DeepEqual(back.Profile.Consents, wantBack) {
		t.Errorf("the merged profile has %v, want what it had: it refused already", back.Profile.Consents)
	}
	want := &profile.Profile{
		Gender: "male", JobLevel: "director", Interests: []string{"a", "c"}, Employer: profile.Employer{Name: "Forge", Size: "11-50"},
		Identifiers: []profile.Identifier{crm("1"), crm("3")},
		// The grant does not come back under a refusal that is newer than the merge.
		Consents: []profile.Consent{{Purpose: "marketing", Status: "withdrawn", Decided: at(4)}, {Purpose: "marketing", Channel: "email", Status: "denied"}},
		Revision: got.Revision, UpdateTime: at(4),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the survivor became %+v, want %+v", got, want)
	}
}

func TestAValueSetAnewStays(t *testing.T) {
	a := merging.Side{Profile: &profile.Profile{Gender: "male", UpdateTime: at(1)}}
	b := merging.Side{Profile: &profile.Profile{Gender: "female", UpdateTime: at(2)}}
	made := merging.Merge(a, b, profile.MergeMostRecent, nil)
	now := wrote(made, &profile.Profile{}, 3, "")
	now = wrote(now, &profile.Profile{Gender: "female"}, 4, "")
	if got, _ := merging.Undo(merging.Record{Survivor: a, Merged: b, Result: made}, now); got.Profile.Gender != "female" {
		t.Errorf("the gender became %q, want the one that was set since", got.Profile.Gender)
	}
}

func TestARecordComesBack(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for range rounds(500) {
		m := merged(r)
		b := m.Encode(nil)
		back, err := merging.DecodeRecord(b)
		if err != nil || !reflect.DeepEqual(back, m) || !bytes.Equal(back.Encode(nil), b) {
			t.Fatalf("%+v came back as %+v (%v)", m, back, err)
		}
	}
	b := merged(r).Encode(nil)
	for cut := range len(b) {
		if _, err := merging.DecodeRecord(b[:cut]); err == nil {
			t.Fatalf("the first %d of %d bytes were read", cut, len(b))
		}
	}
	if _, err := merging.DecodeRecord(append(b, 0)); err == nil {
		t.Error("bytes at the end were read over")
	}
}

func FuzzDecodeRecord(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 20 {
		f.Add(merged(r).Encode(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := merging.DecodeRecord(b)
		if err != nil {
			return
		}
		again := m.Encode(nil)
		back, err := merging.DecodeRecord(again)
		if err != nil || !bytes.Equal(back.Encode(nil), again) {
			t.Fatalf("%x is written as %x, which reads as %+v (%v)", b, again, back, err)
		}
		// Whatever the profiles hold, nothing panics.
		merging.Undo(m, m.Result)
		merging.Merge(m.Survivor, m.Merged, profile.MergeMostTrusted, []string{"crm"})
	})
}
