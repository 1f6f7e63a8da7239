package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/e2e/worldtest"
	"github.com/narrowcast/narrowcast/services/suite/internal/cli"
)

// world is a suite and a client of it.
type world struct {
	t   *testing.T
	cfg suite.Config
	p   *worldtest.Process
	c   *client.Client
}

func start(t *testing.T, cfg suite.Config) *world {
	t.Helper()
	w := &world{t: t, cfg: cfg, p: worldtest.Start(t, cfg, suite.Deps{Logger: worldtest.Logger(t)})}
	w.c = worldtest.Client(t, client.Config{Addr: w.p.Addr})
	return w
}

func (w *world) ok(err error, doing string) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", doing, err)
	}
}

// patiently repeats what is not ready yet.
func (w *world) patiently(doing string, do func(ctx context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), worldtest.Patience)
	defer cancel()
	for {
		err := do(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil || fault.KindOf(err) != fault.Unavailable {
			w.t.Fatalf("%s: %v", doing, err)
		}
		worldtest.Pause(ctx, 50*time.Millisecond)
	}
}

func person(n int) *profilev1.Profile {
	return &profilev1.Profile{
		Region: new([]string{"FR-40", "FR", "DE", "GB-LND"}[n%4]), Lifecycle: []typev1.Lifecycle{typev1.Lifecycle_LIFECYCLE_CUSTOMER, typev1.Lifecycle_LIFECYCLE_PROSPECT}[n%2],
		GivenName: new("Marker"), Identifiers: []*profilev1.Identifier{{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Source: "crm", Value: fmt.Sprintf("person-%06d", n)}},
	}
}

func (w *world) upsert(ctx context.Context, from, to int) error {
	var rows []*profilev1.Profile
	for n := from; n < to; n++ {
		rows = append(rows, person(n))
	}
	_, err := w.c.Profiles.BatchUpsertProfiles(ctx, &profilev1.BatchUpsertProfilesRequest{Profiles: rows})
	return err
}

// fill makes one of everything.
func (w *world) fill() {
	w.t.Helper()
	ctx := w.t.Context()
	w.ok(w.upsert(ctx, 0, 120), "write people")
	w.patiently("create a segment", func(ctx context.Context) error {
		_, err := w.c.Segments.CreateSegment(ctx, &segmentv1.CreateSegmentRequest{
			SegmentId: "customers", Segment: &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: `lifecycle == "customer"`}},
		})
		return err
	})
	w.patiently("create a persona", func(ctx context.Context) error {
		_, err := w.c.Personas.CreatePersona(ctx, &personav1.CreatePersonaRequest{
			PersonaId: "lander", Persona: &personav1.Persona{DisplayName: "Lander", Kind: personav1.Persona_KIND_CONSUMER, Rule: `region.within("FR-40")`},
		})
		return err
	})
	w.patiently("create an audience", func(ctx context.Context) error {
		_, err := w.c.Audiences.CreateAudience(ctx, &campaignv1.CreateAudienceRequest{
			AudienceId: "french", Audience: &campaignv1.Audience{Spec: &campaignv1.AudienceSpec{Regions: []string{"FR"}, AllSegments: []string{"segments/customers"}}},
		})
		return err
	})
	w.patiently("create a campaign", func(ctx context.Context) error {
		_, err := w.c.Campaigns.CreateCampaign(ctx, &campaignv1.CreateCampaignRequest{
			CampaignId: "spring", Campaign: &campaignv1.Campaign{Audience: "audiences/french", Objective: campaignv1.Campaign_OBJECTIVE_RETENTION},
		})
		return err
	})
}

func (w *world) count(spec *campaignv1.AudienceSpec) int64 {
	w.t.Helper()
	var n int64
	w.patiently("count", func(ctx context.Context) error {
		res, err := w.c.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{
			Audience:    &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Spec{Spec: spec}},
			Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_FullyConsistent{FullyConsistent: true}},
		})
		n = res.GetCount()
		return err
	})
	return n
}

// people lists everybody.
func (w *world) people() (list []*profilev1.Profile) {
	w.t.Helper()
	for token := ""; ; {
		res, err := w.c.Profiles.ListProfiles(w.t.Context(), &profilev1.ListProfilesRequest{PageSize: 500, PageToken: token})
		w.ok(err, "list people")
		list = append(list, res.GetProfiles()...)
		if token = res.GetNextPageToken(); token == "" {
			return list
		}
	}
}

// cursor watches until everything was sent.
func (w *world) cursor(after string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), worldtest.Patience)
	defer cancel()
	stream, err := w.c.Profiles.WatchProfiles(ctx, &profilev1.WatchProfilesRequest{After: after})
	if err != nil {
		return "", err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return "", err
		}
		if !m.GetReplaying() {
			return m.GetChangesThrough(), nil
		}
	}
}

// run runs a command line as a program would.
func run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Version: "test"}, args)
	return out.String() + errs.String(), code
}

func TestASuiteComesBackFromABackup(t *testing.T) {
	redis := "redis://" + testkit.Redis(t)
	cfg := worldtest.Config(suite.All, t.TempDir())
	cfg.Redis = config.NewSecret(redis)
	w := start(t, cfg)
	w.fill()
	cursor, err := w.cursor("")
	w.ok(err, "watch")
	head, err := w.c.Profiles.GetHead(t.Context(), &profilev1.GetHeadRequest{})
	w.ok(err, "get head")
	token := head.GetConsistencyToken()
	if n := w.count(nil); n != 120 {
		t.Fatalf("%d people, want 120", n)
	}

	// Back up while somebody writes.
	writing, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for n := 120; ; n += 5 {
			if err := w.upsert(writing, n, n+5); err != nil {
				ended <- err
				return
			}
		}
	}()
	folder := filepath.Join(t.TempDir(), "copy")
	said, code := run(t, "backup", folder, "--data-dir", cfg.DataDir)
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("write meanwhile: %v", err)
	}
	if code != 0 || !strings.Contains(said, "no key is in this backup") {
		t.Fatalf("backup: exit code %d\n%s", code, said)
	}
	if said, code := run(t, "backup", folder, "--data-dir", cfg.DataDir); code != 1 || !strings.Contains(said, suite.ReasonBackupExists) {
		t.Errorf("a second backup into the folder: exit code %d\n%s", code, said)
	}
	keys, err := os.ReadFile(filepath.Join(cfg.DataDir, "profile.keys"))
	w.ok(err, "read keys")
	w.secret(folder, keys)
	w.p.Stop()

	t.Run("restored", func(t *testing.T) { // both before the damage below
		for name, to := range map[string]func(t *testing.T) (suite.Config, []string){
			"SQLite, the same Redis": func(t *testing.T) (suite.Config, []string) {
				next := worldtest.Config(suite.All, t.TempDir())
				next.Redis = cfg.Redis
				return next, []string{"--data-dir", next.DataDir}
			},
			"PostgreSQL, fresh memory": func(t *testing.T) (suite.Config, []string) {
				next := worldtest.Config(suite.All, t.TempDir())
				url := testkit.Postgres(t)
				next.Database = config.NewSecret(url)
				return next, []string{"--data-dir", next.DataDir, "--database", url}
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				next, args := to(t)
				restore := append([]string{"restore", folder}, args...)
				if said, code := run(t, restore...); code != 1 || !strings.Contains(said, "key") {
					t.Errorf("a restore without the key file: exit code %d\n%s", code, said)
				}
				if err := os.WriteFile(filepath.Join(next.DataDir, "profile.keys"), keys, 0o600); err != nil {
					t.Fatal(err)
				}
				if said, code := run(t, restore...); code != 0 {
					t.Fatalf("restore: exit code %d\n%s", code, said)
				}
				if said, code := run(t, restore...); code != 1 || !strings.Contains(said, "STORE_NOT_EMPTY") {
					t.Errorf("a second restore: exit code %d\n%s", code, said)
				}
				r := start(t, next)
				r.check(cursor, token)
				asks := []string{"doctor", "--addr", r.p.Addr}
				if !next.Redis.IsZero() {
					asks = append(asks, "--redis", redis)
				}
				if said, code := run(t, asks...); code != 0 || !strings.Contains(said, "index.") {
					t.Errorf("doctor of the index: exit code %d\n%s", code, said)
				}
				r.p.Stop()
				if said, code := run(t, append([]string{"doctor", "--store"}, args...)...); code != 0 {
					t.Errorf("doctor of the restored store: exit code %d\n%s", code, said)
				}
			})
		}
	})
	t.Run("damaged", func(t *testing.T) {
		path := filepath.Join(folder, "segment.ncb")
		text, err := os.ReadFile(path)
		w.ok(err, "read a file of the backup")
		text[len(text)/2]++
		w.ok(os.WriteFile(path, text, 0o600), "damage it")
		dir := t.TempDir()
		w.ok(os.WriteFile(filepath.Join(dir, "profile.keys"), keys, 0o600), "copy keys")
		if said, code := run(t, "restore", folder, "--data-dir", dir); code != 1 || !strings.Contains(said, suite.ReasonBackupDamaged) {
			t.Errorf("restore: exit code %d\n%s", code, said)
		}
		if said, code := run(t, "doctor", "--store", "--data-dir", dir); code != 1 || !strings.Contains(said, "could not check") {
			t.Errorf("doctor of no store: exit code %d\n%s", code, said)
		}
		if held, err := os.ReadDir(dir); err != nil || len(held) != 1 {
			t.Errorf("a refused restore left %v (%v)", held, err)
		}
	})
}

// secret looks for what must not be in a backup.
func (w *world) secret(folder string, keys []byte) {
	w.t.Helper()
	files, err := os.ReadDir(folder)
	w.ok(err, "read the backup")
	if len(files) != 5 {
		w.t.Errorf("the backup has %d files, want 4 and the manifest", len(files))
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(folder, f.Name()))
		w.ok(err, "read the backup")
		for _, secret := range [][]byte{[]byte("Marker"), []byte("person-0000"), keys[len(keys)/4 : len(keys)/2]} {
			if bytes.Contains(text, secret) {
				w.t.Errorf("%s holds contact data or a key", f.Name())
			}
		}
	}
}

// check checks what a suite on restored stores must be.
func (w *world) check(cursor, token string) {
	w.t.Helper()
	t, ctx := w.t, w.t.Context()
	if _, err := w.cursor(cursor); fault.ReasonOf(err) != "CURSOR_OF_ANOTHER_STORE" {
		t.Errorf("a cursor of the life before: %v", err)
	}
	people := w.people()
	var french, landers, customers int64
	for _, p := range people {
		if p.GetGivenName() != "Marker" || len(p.GetIdentifiers()) != 1 {
			t.Fatalf("%s lost its contact data", p.GetName())
		}
		if fr := strings.HasPrefix(p.GetRegion(), "FR"); fr && p.GetLifecycle() == typev1.Lifecycle_LIFECYCLE_CUSTOMER {
			french++
		}
		if p.GetRegion() == "FR-40" {
			landers++
		}
		if p.GetLifecycle() == typev1.Lifecycle_LIFECYCLE_CUSTOMER {
			customers++
		}
	}
	if len(people) < 120 {
		t.Errorf("%d people came back, want 120 at least", len(people))
	}
	all := w.count(nil)
	if all != int64(len(people)) || w.count(&campaignv1.AudienceSpec{AllSegments: []string{"segments/customers"}}) != customers ||
		w.count(&campaignv1.AudienceSpec{Personas: []string{"personas/lander"}}) != landers ||
		w.count(&campaignv1.AudienceSpec{Regions: []string{"FR"}, AllSegments: []string{"segments/customers"}}) != french {
		t.Errorf("counts of %d people are wrong: all %d", len(people), all)
	}
	_, err := w.c.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{
		Audience:    &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Name{Name: "audiences/french"}},
		Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token}},
	})
	if fault.ReasonOf(err) != revision.ReasonAnotherStore {
		t.Errorf("a consistency token of the life before: %v", err)
	}
	if c, err := w.c.Campaigns.GetCampaign(ctx, &campaignv1.GetCampaignRequest{Name: "campaigns/spring"}); err != nil || c.GetAudience() != "audiences/french" {
		t.Errorf("the campaign is %v (%v)", c, err)
	}
	if p, err := w.c.Personas.GetPersona(ctx, &personav1.GetPersonaRequest{Name: "personas/lander"}); err != nil || p.GetDisplayName() != "Lander" {
		t.Errorf("the persona is %v (%v)", p, err)
	}
	w.ok(w.upsert(ctx, 1_000_000, 1_000_003), "write more people")
	if n := w.count(nil); n != all+3 {
		t.Errorf("after three more there are %d, want %d", n, all+3)
	}
	if next, err := w.cursor(""); err != nil || next == cursor {
		t.Errorf("a watcher that begins anew: %v", err)
	}
}
