package rpc

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

// drawn makes a profile of which each part is there or not, with values of all lengths.
func drawn(r *rand.Rand) *profile.Profile {
	text := func() string { return string(bytes.Repeat([]byte("aé"), r.IntN(1+1<<r.IntN(9)))) }
	words := func(of []string) []string {
		if r.IntN(3) == 0 {
			return nil
		}
		list := []string{}
		for _, word := range of {
			if r.IntN(2) == 0 {
				list = append(list, word)
			}
		}
		return list
	}
	word := func(of []string) string {
		if i := r.IntN(len(of) + 1); i < len(of) {
			return of[i]
		}
		return ""
	}
	day := func() int64 { return audience.MinDay + r.Int64N(audience.MaxDay-audience.MinDay) }
	p := &profile.Profile{
		UID: audience.UID{0: byte(r.Uint32()), 15: byte(r.Uint32())}, Revision: r.Int64(),
		CreateTime: time.UnixMicro(r.Int64N(4e15) - 1e15).UTC(), UpdateTime: time.UnixMicro(r.Int64N(4e15)).UTC(),
		Gender: word(audience.Genders), Region: word([]string{"FR", "FR-40"}), PostalCode: text(), JobLevel: word(audience.JobLevels),
		Education: word(audience.Educations), MaritalStatus: word(audience.MaritalStatuses), Occupation: text(), Household: text(),
		Employer: profile.Employer{Name: text(), Industry: text(), Size: word(audience.EmployerSizes)},
		Roles:    words(audience.Roles), Lifecycle: word(audience.Lifecycles), Interests: words([]string{"a", "bb", text()}), Values: words([]string{text()}),
		Needs: words(nil), PreferredChannels: words(audience.Channels), PreferredBrands: words([]string{"x", "y"}),
	}
	if r.IntN(2) == 0 {
		name := text()
		p.GivenName, p.FamilyName = &name, &name
	}
	switch first := day(); r.IntN(5) {
	case 0:
		p.BirthDate = &profile.Interval{First: first, Last: first}
	case 1:
		p.BirthDate = &profile.Interval{First: audience.DayOf(1980, 2, 1), Last: audience.DayOf(1980, 2, 29)}
	case 2:
		p.BirthDate = &profile.Interval{First: audience.DayOf(1, 1, 1), Last: audience.DayOf(1, 12, 31)}
	case 3: // none that a request can state
		p.BirthDate = &profile.Interval{First: first, Last: first + 3}
	}
	if r.IntN(2) == 0 {
		p.Income = &profile.Money{Currency: "EUR", Amount: r.Int64N(1e6) - 5e5}
	}
	for range r.IntN(4) {
		c := profile.Consent{Purpose: word(audience.Purposes), Channel: word(audience.Channels), Status: word(profile.ConsentStatuses), Source: text()}
		if expires := day(); r.IntN(2) == 0 {
			c.Expires = &expires
		}
		if r.IntN(2) == 0 {
			c.Decided = time.UnixMicro(r.Int64N(4e15) - 2e15).UTC()
		}
		p.Consents = append(p.Consents, c)
		p.Identifiers = append(p.Identifiers, profile.Identifier{Kind: word(profile.IdentifierKinds), Source: text(), Value: text()})
	}
	for i := range r.IntN(6) {
		if p.Custom == nil {
			p.Custom = make(map[string]profile.Value)
		}
		v := profile.Value{Type: profile.Type(i + 1)}
		switch v.Type {
		case profile.TypeString:
			v.Text = text()
		case profile.TypeDecimal:
			v.Text = "-0.50"
		case profile.TypeBool:
			v.Num = r.Int64N(2)
		case profile.TypeDate:
			v.Num = day()
		default:
			v.List = append([]string{}, words([]string{"t", text()})...)
		}
		p.Custom[fmt.Sprint("a", i)] = v
	}
	return p
}

// TestAStoredProfileGoesOutAsADecodedOne holds the short way against the long one.
func TestAStoredProfileGoesOutAsADecodedOne(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		p := drawn(r)
		stored := &profile.Stored{
			UID: p.UID, CreateTime: p.CreateTime.UnixMicro(), UpdateTime: p.UpdateTime.UnixMicro(),
			Body: record.Body(nil, p), Contact: record.Contact(nil, p),
		}
		var frame []byte
		for _, c := range []profile.Change{{Revision: p.Revision, Stored: stored}, {Revision: p.Revision, Profile: p}} {
			var err error
			if frame, err = appendChange(frame, c); err != nil {
				t.Fatal(err)
			}
		}
		var m profilev1.WatchProfilesResponse
		if err := proto.Unmarshal(frame, &m); err != nil {
			t.Fatal(err)
		}
		if len(m.GetChanges()) != 2 || !proto.Equal(m.GetChanges()[0], m.GetChanges()[1]) {
			t.Fatalf("the frame holds\n%s", prototext.Format(&m))
		}
	}
}

func TestALongChangeHasALongLength(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 1<<21 - 1, 1 << 21, 1<<21 + 5} {
		b, at := beginLong([]byte("before"), 15)
		b = endLong(append(b, make([]byte, n)...), at)
		var m profilev1.WatchProfilesResponse
		if err := proto.Unmarshal(b[len("before"):], &m); err != nil || len(m.ProtoReflect().GetUnknown()) < n {
			t.Errorf("a message of %d bytes cannot be read: %v", n, err)
		}
	}
}

func FuzzAppendWire(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		p := drawn(r)
		f.Add(record.Body(nil, p))
		f.Add(record.Contact(nil, p))
	}
	f.Fuzz(func(t *testing.T, rec []byte) {
		before := []byte("kept")
		b, whole, err := record.AppendWire(before, rec)
		if !bytes.HasPrefix(b, before) {
			t.Fatal("what was there before is gone")
		}
		var p profile.Profile
		if failed := record.Decode(rec, &p); (failed != nil) != (err != nil) {
			t.Fatalf("decoding: %v, passing on: %v", failed, err)
		}
		if err != nil || !whole {
			return
		}
		var m profilev1.Profile
		if err := proto.Unmarshal(b[len(before):], &m); err != nil && !bytes.Contains([]byte(err.Error()), []byte("UTF-8")) {
			t.Fatalf("what is passed on cannot be read: %v", err)
		}
	})
}
