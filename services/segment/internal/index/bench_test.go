package index_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"google.golang.org/genproto/googleapis/type/date"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/internal/profilefacts"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/index"
	"github.com/narrowcast/narrowcast/services/segment/internal/sqlstore"
)

// someone is a profile of about 25 facets.
func someone(n int) *profilev1.Profile {
	interests := []string{"cycling", "tea", "films", "gardening", "football", "cooking", "travel", "books", "music", "chess"}
	regions := []string{"FR-40", "FR-33", "FR-75", "DE-BE", "GB-LND", "ES-M", "IT-RM", "NL-NH"}
	h := uint32(n) * 2654435761
	pick := func(list []string, salt uint32) string { return list[(h>>salt)%uint32(len(list))] }
	return &profilev1.Profile{
		Name:      wire.ProfileName(audience.UID{0: 1, 6: 0x70, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}),
		BirthDate: &date.Date{Year: int32(1940 + h%65), Month: int32(1 + h>>8%12), Day: int32(1 + h>>16%28)},
		Gender:    typev1.Gender(1 + h%2), Region: proto.String(pick(regions, 3)), PostalCode: proto.String(fmt.Sprintf("%05d", h%90000)),
		JobLevel: typev1.JobLevel(1 + h>>4%10), Income: &typev1.Money{CurrencyCode: "EUR", Amount: fmt.Sprint(h % 200000)},
		Education: typev1.Education(1 + h>>5%8), MaritalStatus: typev1.MaritalStatus(1 + h>>6%6), Occupation: proto.String(fmt.Sprint("job ", h%300)),
		Employer:  &profilev1.Employer{Name: proto.String(fmt.Sprint("firm ", h%5000)), Industry: proto.String(fmt.Sprint("industry ", h%20)), Size: typev1.EmployerSize(1 + h>>7%9)},
		Household: proto.String(fmt.Sprint("h", h%80000)), Roles: &profilev1.RoleList{Values: []typev1.Role{1}}, Lifecycle: typev1.Lifecycle(1 + h>>9%3),
		Interests:         &typev1.TextList{Values: []string{pick(interests, 2), pick(interests, 11), pick(interests, 17)}},
		PreferredChannels: &profilev1.ChannelList{Values: []typev1.Channel{typev1.Channel(1 + h>>10%8)}},
		PreferredBrands:   &typev1.TextList{Values: []string{fmt.Sprint("brand ", h%150), fmt.Sprint("brand ", h>>8%150)}},
		Consents: []*profilev1.Consent{
			{Purpose: 1, Channel: 1, Status: typev1.ConsentStatus(1 + h>>12%2)}, {Purpose: 1, Status: 1}, {Purpose: 2, Status: typev1.ConsentStatus(1 + h>>13%2)},
		},
	}
}

// BenchmarkIndex indexes 200,000 profiles, as live changes of 500 a message, with five segments kept current beside them, from the wire
// form to the announced position.
func BenchmarkIndex(b *testing.B) {
	const people = 200_000
	for b.Loop() {
		b.StopTimer()
		store, err := sqlstore.Open(b.Context(), sqlstore.Config{DB: sqldb.Config{Path: filepath.Join(b.TempDir(), "segment.db")}})
		if err != nil {
			b.Fatal(err)
		}
		for i, rule := range []string{
			`job_level >= "director" && region.within("FR")`, `age() >= 25 && age() < 35`, `"cycling" in interests && consent("marketing", "email")`,
			`income >= 50000 && !(gender == "male")`, `postal_code.startsWith("4")`,
		} {
			s := segment.Segment{ID: fmt.Sprint("s", i), UID: fmt.Sprint("u", i), Rule: rule}
			if _, _, err := store.Create(b.Context(), s, false); err != nil {
				b.Fatal(err)
			}
		}
		lease, err := store.AcquireLease(b.Context(), "bench", time.Hour)
		if err != nil {
			b.Fatal(err)
		}
		x, err := index.New(index.Config{}, index.Deps{Store: store, Blocks: memblocks.New(), Lease: lease, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		messages := make([][]byte, 0, people/500)
		for n := 0; n < people; n += 500 {
			m := new(profilev1.WatchProfilesResponse)
			for i := range 500 {
				m.Changes = append(m.Changes, &profilev1.WatchProfilesResponse_Change{Change: &profilev1.WatchProfilesResponse_Change_Profile{Profile: someone(n + i + 1)}})
			}
			raw, err := proto.Marshal(m)
			if err != nil {
				b.Fatal(err)
			}
			messages = append(messages, raw)
		}
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		done := make(chan error, 1)
		go func() { done <- x.Run(b.Context()) }()
		x.Begin(index.Identity{Store: "st", Incarnation: "l", Currency: "EUR"})
		b.StartTimer()

		revision := uint64(0)
		offer := func(changes []index.Change) {
			revision += uint64(len(changes))
			err := x.Offer(b.Context(), index.Batch{Changes: changes, Through: blocks.Point{Incarnation: "l", Revision: revision}})
			if err != nil {
				b.Fatal(err)
			}
		}
		offer(nil)
		for _, raw := range messages {
			var m profilev1.WatchProfilesResponse
			if err := proto.Unmarshal(raw, &m); err != nil {
				b.Fatal(err)
			}
			changes := make([]index.Change, len(m.Changes))
			for i, c := range m.Changes {
				uid, facts, err := profilefacts.Of(c.GetProfile(), nil)
				if err != nil {
					b.Fatal(err)
				}
				changes[i] = index.Change{UID: uid, Facts: facts}
			}
			offer(changes)
		}
		if err := x.WaitPosition(b.Context(), blocks.Position{Revision: revision, Definition: 5}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapSys-before.HeapSys)/(1<<20), "MiB-heap-grown")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/(1<<20), "MiB-kept")
		// Single changes, each waited for.
		began := time.Now()
		const singles = 20
		for i := range singles {
			uid, facts, err := profilefacts.Of(someone(i*977+1), nil)
			if err != nil {
				b.Fatal(err)
			}
			facts["gender"] = audience.Value{Text: "other"}
			facts["household"] = audience.Value{Text: fmt.Sprint("new ", i)}
			offer([]index.Change{{UID: uid, Facts: facts}})
			if err := x.WaitPosition(b.Context(), blocks.Position{Revision: revision}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds())/singles, "ms/single-change")
		runtime.KeepAlive(x)
		b.StartTimer()
	}
}
