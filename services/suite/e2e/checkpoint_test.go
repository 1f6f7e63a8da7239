package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite/e2e/worldtest"
)

// A process that is killed goes on with the index that it had written down, and counts who came after it; a checkpoint that is damaged in
// the meantime costs time alone.
func TestARestartGoesOnFromTheCheckpoint(t *testing.T) {
	t.Parallel()
	o := options{}.filled(t)
	people := int64(0)
	start := func() (*process, *stack) {
		p := startProcess(t, o.logs, "narrowcast", append([]string{"up"}, serveFlags(o.dataDir)...)...)
		return p, connect(t, p, o)
	}
	add := func(st *stack, n int) {
		t.Helper()
		for range n {
			region := "FR-40"
			if _, err := st.Profiles.CreateProfile(t.Context(), &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{Region: &region}}); err != nil {
				t.Fatal(err)
			}
			people++
		}
		// Of the newest state, which after a start is waited for.
		got, err := st.Audiences.CountAudience(t.Context(), &campaignv1.CountAudienceRequest{
			Audience: specRef(&campaignv1.AudienceSpec{}), Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_FullyConsistent{FullyConsistent: true}},
		})
		if err != nil || got.GetCount() != people {
			t.Fatalf("%d people are counted, %v; want %d", got.GetCount(), err, people)
		}
	}
	manifest := filepath.Join(o.dataDir, "segment-checkpoint", "manifest.json")
	p, st := start()
	add(st, 20)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if _, err := os.Stat(manifest); err == nil {
			break
		}
		if worldtest.Pause(ctx, 20*time.Millisecond); ctx.Err() != nil {
			t.Fatal("no checkpoint was written")
		}
	}
	add(st, 5)
	p.kill()

	p, st = start()
	add(st, 0)
	add(st, 3)
	if log := o.logs.String(); !strings.Contains(log, `"from_checkpoint":true`) {
		t.Error("the restart read all profiles again")
	}
	p.kill()

	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(manifest, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, st = start()
	add(st, 0)
	if log := o.logs.String(); !strings.Contains(log, "the checkpoint cannot be used") {
		t.Error("damage to the checkpoint was not noticed")
	}
	add(st, 1)
}
