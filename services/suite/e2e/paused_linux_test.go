package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite/e2e/worldtest"
)

// A segment service that stands still for longer than its lease wakes up while its successor publishes, believes in its lease for a moment,
// and writes: no answer is wrong, and it steps down.
func TestAPausedIndexWakesUpWhileItsSuccessorPublishes(t *testing.T) {
	t.Parallel()
	o := options{}.filled(t)
	server := testkit.RedisPrivate(t)
	store := "--redis=redis://" + server.Addr + "/0"
	dir := func(name string) string { return filepath.Join(o.dataDir, name) }
	profile := startProcess(t, o.logs, profileTarget, append([]string{"--allow-sqlite"}, serveFlags(dir("profile"))...)...)
	segment := func(holder string) *process {
		return startProcess(t, o.logs, segmentTarget, append([]string{
			"--allow-sqlite", "--profile-addr=" + profile.addr, store, "--segment-holder=" + holder, "--segment-lease-ttl=1s",
			"--segment-checkpoint=" + dir("checkpoint-"+holder),
		}, serveFlags(dir("segment"))...)...)
	}
	first := segment("first")
	way := worldtest.NewWay(t)
	way.Lead(first.addr)
	campaign := startProcess(t, o.logs, campaignTarget, append([]string{
		"--allow-sqlite", "--profile-addr=" + profile.addr, "--segment-addr=" + way.Addr, store,
	}, serveFlags(dir("campaign"))...)...)
	c := worldtest.Client(t, client.Config{ProfileAddr: profile.addr, SegmentAddr: way.Addr, PersonaAddr: way.Addr, CampaignAddr: campaign.addr})

	people := int64(0)
	token := ""
	add := func() {
		t.Helper()
		region := "FR-40"
		p, err := c.Profiles.CreateProfile(t.Context(), &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{Region: &region}})
		if err != nil {
			t.Fatal(err)
		}
		people, token = people+1, p.GetConsistencyToken()
	}
	// right asks, of the newest state, until there is an answer: it has to be right at once.
	right := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for {
			res, err := c.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{
				Audience:    specRef(&campaignv1.AudienceSpec{Regions: []string{"FR"}}),
				Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token}},
			})
			switch {
			case err == nil && res.GetCount() == people:
				return
			case err == nil:
				t.Fatalf("%d people are counted, want %d", res.GetCount(), people)
			case fault.KindOf(err) != fault.Unavailable || ctx.Err() != nil:
				t.Fatalf("count: %v", err)
			}
			worldtest.Pause(ctx, 20*time.Millisecond)
		}
	}
	for range 20 {
		add()
	}
	right()

	signal := func(s os.Signal) {
		t.Helper()
		if err := first.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	second := segment("second")
	way.Lead(second.addr)
	add()
	right() // the lease has run out, and the successor has written every block under its own epoch

	// What the first one has not heard of makes it write as soon as it wakes.
	add()
	signal(syscall.SIGCONT)
	for range 30 {
		add()
		right()
	}
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer rdb.Close()
	keys, err := rdb.Keys(t.Context(), "nc:*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("%q, %v", keys, err)
	}
	for _, key := range keys {
		mark, err := rdb.HGet(t.Context(), key, "w").Result()
		if err != nil || !strings.HasPrefix(mark, "00000000000000000002.") {
			t.Errorf("%s was last written by %q, %v; want the second lease", key, mark, err)
		}
	}
	deadline, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !strings.Contains(o.logs.String(), "the lease was lost") && !strings.Contains(o.logs.String(), "NOT_LEASE_HOLDER") {
		if worldtest.Pause(deadline, 50*time.Millisecond); deadline.Err() != nil {
			t.Fatal("the first holder has not noticed that its lease is another's")
		}
	}
	// It stands by: when the second goes, the first goes on.
	second.terminate()
	way.Lead(first.addr)
	add()
	right()
}
