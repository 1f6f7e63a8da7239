package sqlstore_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	secret "github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/sqlstore"
)

// durable makes two databases of one engine as it would be in use: what is committed is on the disk.
var durable = map[string]func(b *testing.B) (one, other sqldb.Config){
	"sqlite": func(b *testing.B) (one, other sqldb.Config) {
		return sqldb.Config{Path: filepath.Join(b.TempDir(), "profile.db")}, sqldb.Config{Path: filepath.Join(b.TempDir(), "bare.db")}
	},
	"postgres": func(b *testing.B) (one, other sqldb.Config) {
		url := secret.NewSecret(testkit.PostgresPrivate(b).URL)
		return sqldb.Config{URL: url, Schema: "profile"}, sqldb.Config{URL: url, Schema: "bare"}
	},
}

// BenchmarkImport imports people in the commit units of the service, and inserts the same rows bare, by turns: "x-bare" is how many times
// as long the import takes. People with uids only are known by nothing else; the others have names, an external id and two more
// identifiers.
func BenchmarkImport(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, people := range []string{"uids", "identifiers", "known"} {
			b.Run(engine+"/"+people, func(b *testing.B) { benchImport(b, engine, people) })
		}
	}
}

func benchImport(b *testing.B, engine, people string) {
	const unit = 5000
	keys := newKeys(b)
	one, other := durable[engine](b)
	s, bare := open(b, sqlstore.Config{SQL: one, Keys: keys}), open(b, sqlstore.Config{SQL: other, Keys: keys})
	var importing, inserting time.Duration
	var through int64
	n := 0
	for b.Loop() {
		rows := make([]profile.Row, unit)
		stored := make([]*profile.Profile, unit)
		uids := s.UIDs(b, unit)
		for i := range rows {
			p := benchPerson(n, n, people != "uids")
			switch people {
			case "uids":
				p.UID = uids[i]
			case "known": // the same people again and again, changed
				p = benchPerson(i, n, true)
			}
			rows[i].Profile = p
			stored[i] = benchPerson(n, n, people != "uids")
			stored[i].UID = uids[i]
			n++
		}
		ready := sqlstore.MakeBare(b, keys.Ring(), stored, int64(n))
		began := time.Now()
		_, p, _, err := s.Import(b.Context(), "bench", through, rows)
		importing += time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
		through = p.Through
		if p.Rejected > 0 {
			b.Fatalf("progress %+v", p)
		}
		began = time.Now()
		if err := bare.InsertBare(b.Context(), ready); err != nil {
			b.Fatal(err)
		}
		inserting += time.Since(began)
	}
	b.ReportMetric(float64(n)/importing.Seconds(), "profiles/s")
	b.ReportMetric(float64(n)/inserting.Seconds(), "bare/s")
	b.ReportMetric(importing.Seconds()/inserting.Seconds(), "x-bare")
}

func benchPerson(id, n int, contact bool) *profile.Profile {
	p := &profile.Profile{
		BirthDate: &profile.Interval{First: int64(n % 9000), Last: int64(n % 9000)},
		Gender:    audience.Genders[n%2], Region: "FR-40", PostalCode: fmt.Sprintf("%05d", n%90000), JobLevel: audience.JobLevels[n%10],
		Income: &profile.Money{Currency: "EUR", Amount: int64(n)}, Education: "master", Occupation: "engineer",
		Employer: profile.Employer{Name: "Works", Industry: "industry", Size: "11-50"}, Roles: []string{"buyer"}, Lifecycle: "customer",
		Interests: []string{"cycling", "music", "travel"}, PreferredChannels: []string{"email"},
		Consents: []profile.Consent{{Purpose: "marketing", Channel: "email", Status: "granted"}},
	}
	if contact {
		given, family := "Ada", "Lovelace"
		p.GivenName, p.FamilyName = &given, &family
		p.Identifiers = []profile.Identifier{
			{Kind: profile.KindExternalID, Source: "crm", Value: fmt.Sprintf("C%08d", id)}, {Kind: "email", Value: fmt.Sprintf("p%d@example.com", id)},
			{Kind: "phone", Value: fmt.Sprintf("+336%08d", id)},
		}
	}
	return p
}

// BenchmarkResolve looks up a batch of e-mail addresses, as a call does.
func BenchmarkResolve(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			one, _ := durable[engine](b)
			s := open(b, sqlstore.Config{SQL: one})
			const people, batch = 50_000, 100
			for n := 0; n < people; n += 5000 {
				rows := make([]profile.Row, 5000)
				for i := range rows {
					rows[i].Profile = benchPerson(n+i, n+i, true)
				}
				if _, _, err := s.Upsert(b.Context(), rows); err != nil {
					b.Fatal(err)
				}
			}
			n := 0
			for b.Loop() {
				ids := make([]profile.Identifier, batch)
				for i := range ids {
					ids[i] = profile.Identifier{Kind: "email", Value: fmt.Sprintf("p%d@example.com", n*7919%people)}
					n++
				}
				found, err := s.Resolve(b.Context(), ids)
				if err != nil || len(found[0]) != 1 {
					b.Fatalf("%v (%v)", found[0], err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "identifiers/s")
		})
	}
}
