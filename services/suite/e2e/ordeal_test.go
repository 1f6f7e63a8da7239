package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite/e2e/worldtest"
)

// What is done to the service or to its store. It says which errors are right meanwhile.
const (
	serviceHarm = 1 << iota // the service's process was killed: its callers lose their connections
	storeHarm               // the database was killed or cut off: the service answers, and says so
	diskHarm                // the disk is full
)

// callBound bounds a call. Only a machine that is very busy comes near it.
const callBound = 20 * time.Second

// ordeal is a profile service in a process of its own that goes through hardships while actors use it. Each of them remembers what
// was acknowledged, and all is compared when the hardships are over.
type ordeal struct {
	t      *testing.T
	random *rand.Rand
	o      options
	args   []string
	pg     *testkit.PrivatePostgres // nil: SQLite
	way    *worldtest.Way           // to the process, whose address changes
	p      *process

	profiles profilev1.ProfileServiceClient
	identity profilev1.IdentityServiceClient
	events   profilev1.EventServiceClient

	ctx      context.Context // of all calls
	cancel   context.CancelFunc
	stopping chan struct{}  // closed when actors are to come to an end
	writing  sync.WaitGroup // all actors but watchers
	watching sync.WaitGroup
	actors   []*actor
	harm     atomic.Int32
	// Calls that met a hardship, by what is known of them.
	refused, unknown, full, commits atomic.Int64
	watch                           *follower

	book
}

// newOrdeal starts the service, on a SQLite file or on a PostgreSQL of its own. Its seed is drawn from the clock unless
// NARROWCAST_KILLS_SEED gives one: the seed decides what is done, the machine when it happens.
func newOrdeal(t *testing.T, pg *testkit.PrivatePostgres, dataDir string) *ordeal {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("NARROWCAST_KILLS_SEED"); given != "" {
		n, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatalf("NARROWCAST_KILLS_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("NARROWCAST_KILLS_SEED=%d repeats what is done", seed)
	d := &ordeal{
		t: t, random: rand.New(rand.NewPCG(seed, 50)), o: options{dataDir: dataDir}.filled(t), pg: pg, way: worldtest.NewWay(t),
		stopping: make(chan struct{}), book: newBook(),
	}
	// Small units and short delays make many commits.
	d.args = []string{
		"up", "--target=profile", "--allow-sqlite", "--listen=127.0.0.1:0", "--ops-listen=none", "--data-dir=" + d.o.dataDir, "--log-format=json",
		"--profile-unit-rows=100", "--profile-unit-delay=20ms", "--profile-group-delay=2ms", "--profile-checkpoint=100ms",
	}
	if pg != nil {
		keys, err := keyring.New()
		if err == nil {
			err = keyring.Create(filepath.Join(d.o.dataDir, "profile.keys"), keys)
		}
		if err != nil {
			t.Fatalf("make keys: %v", err)
		}
		d.args = append(d.args, "--profile-database="+pg.URL)
	}
	d.ctx, d.cancel = context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		d.cancel()
		d.writing.Wait()
		d.watching.Wait()
	})
	d.start()
	// Nothing is tried again but by the actors, who judge each error.
	conn := dial(t, d.way.Addr, rpc.DialOptions{})
	d.profiles, d.identity, d.events = profilev1.NewProfileServiceClient(conn), profilev1.NewIdentityServiceClient(conn), profilev1.NewEventServiceClient(conn)
	return d
}

func (d *ordeal) start() {
	d.t.Helper()
	d.p = startProcess(d.t, d.o.logs, "narrowcast", d.args...)
	d.t.Cleanup(d.cancel) // before it is asked to stop: where the test gives up, nobody is to tell of that
	d.way.Lead(d.p.addr)
}

// actor uses the service.
type actor struct {
	d    *ordeal
	name string
	r    *rand.Rand
	acks atomic.Int64
}

// act starts an actor: work does one thing and returns, over and over.
func (d *ordeal) act(name string, work func(a *actor)) {
	a := &actor{d: d, name: name, r: rand.New(rand.NewPCG(d.random.Uint64(), 1))}
	d.actors = append(d.actors, a)
	d.writing.Go(func() {
		for !d.over() {
			work(a)
		}
	})
}

// over reports whether actors are to end.
func (d *ordeal) over() bool {
	select {
	case <-d.stopping:
		return true
	case <-d.ctx.Done():
		return true
	default:
		return false
	}
}

// pause keeps an actor from filling the machine. When all is to end it does not wait.
func (a *actor) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-a.d.stopping:
	case <-a.d.ctx.Done():
	}
}

// What is known of a call.
type outcome int

const (
	done    outcome = iota
	not             // it failed and changed nothing
	unknown         // it may have happened, or not
)

// call calls once and judges the error: it must be one that fits what is being done to the service. Errors that are answers to the
// caller (kind other than Unavailable, Exhausted and Deadline) are for the function itself.
func (a *actor) call(doing string, fn func(ctx context.Context) error) outcome {
	ctx, cancel := context.WithTimeout(a.d.ctx, callBound)
	defer cancel()
	harm := a.d.harm.Load()
	err := fn(ctx)
	return a.judge(doing, harm|a.d.harm.Load(), err)
}

func (a *actor) judge(doing string, harm int32, err error) outcome {
	if err == nil {
		a.acks.Add(1)
		return done
	}
	if a.d.ctx.Err() != nil {
		return unknown // the test gave up
	}
	o := verdict(harm, err)
	switch o {
	case not:
		a.d.refused.Add(1)
		if fault.ReasonOf(err) == "STORE_FULL" {
			a.d.full.Add(1)
		}
	case unknown:
		a.d.unknown.Add(1)
		if harm&serviceHarm == 0 && fault.KindOf(err) == fault.Unavailable {
			a.d.commits.Add(1)
		}
	default:
		a.d.t.Errorf("%s, while %s (harm %d): %v", a.name, doing, harm, err)
		o = unknown
	}
	return o
}

// verdict is what an error says of its call; done is that there should be no such error.
func verdict(harm int32, err error) outcome {
	f := fault.As(err)
	condition := ""
	if f != nil {
		condition = f.Metadata["condition"]
	}
	switch kind, reason := fault.KindOf(err), fault.ReasonOf(err); {
	case kind == fault.Deadline && harm != 0:
		return unknown
	case kind == fault.Exhausted && reason == "STORE_FULL" && harm&diskHarm != 0:
		return not
	case kind != fault.Unavailable:
		return done
	case reason == "SERVER_UNREACHABLE" && harm&serviceHarm != 0: // so says the client
		return unknown
	case harm&(storeHarm|diskHarm) == 0:
		return done
	case reason == "STORE_UNAVAILABLE" && condition == "commit_unknown":
		return unknown
	case reason == "STORE_UNAVAILABLE" && condition != "", reason == "STORE_READ_ONLY" && condition != "":
		return not
	}
	return done
}

// until calls until it is acknowledged. The function is told whether an earlier try may have happened.
func (a *actor) until(doing string, fn func(ctx context.Context, again bool) error) {
	again := false
	for end := time.Now().Add(2 * patience); a.d.ctx.Err() == nil; {
		switch a.call(doing, func(ctx context.Context) error { return fn(ctx, again) }) {
		case done:
			return
		case unknown:
			again = true
		case not:
		}
		if time.Now().After(end) {
			a.d.t.Errorf("%s, while %s: no acknowledgement after %v", a.name, doing, 2*patience)
			return
		}
		worldtest.Pause(a.d.ctx, time.Duration(5+a.r.IntN(20))*time.Millisecond)
	}
}

// settled waits until every actor has had something acknowledged since it was called, and ends what was done.
func (d *ordeal) settled() {
	d.t.Helper()
	before := make([]int64, len(d.actors))
	for i, a := range d.actors {
		before[i] = a.acks.Load()
	}
	for i, a := range d.actors {
		for end := time.Now().Add(2 * patience); a.acks.Load() == before[i]; {
			if d.p.hasEnded() {
				d.t.Fatalf("the service has ended by itself: %v", d.p.err)
			}
			if time.Now().After(end) {
				d.t.Fatalf("%s has had nothing acknowledged for %v since the hardship was over", a.name, 2*patience)
			}
			worldtest.Pause(d.ctx, 5*time.Millisecond)
		}
	}
	d.harm.Store(0)
}

// moment lets a random time pass.
func (d *ordeal) moment(most time.Duration) {
	worldtest.Pause(d.ctx, time.Duration(d.random.Int64N(int64(most))))
}

func (d *ordeal) killService() {
	d.t.Helper()
	d.harm.Store(serviceHarm)
	d.p.kill()
	d.start()
}

func (d *ordeal) killPostgres() {
	d.t.Helper()
	d.harm.Store(storeHarm)
	before := d.refused.Load() + d.unknown.Load()
	d.pg.Stop()
	// Somebody must see it: a database that comes back unseen proves nothing.
	for end := time.Now().Add(patience); d.refused.Load()+d.unknown.Load() == before; {
		if time.Now().After(end) {
			d.t.Fatal("the database is gone, and nobody was told")
		}
		worldtest.Pause(d.ctx, time.Millisecond)
	}
	d.moment(500 * time.Millisecond)
	d.pg.Start()
}

func (d *ordeal) cutPostgres() {
	d.t.Helper()
	d.harm.Store(storeHarm)
	d.pg.Cut()
}

// finish has the actors come to an end and compares.
func (d *ordeal) finish() {
	d.t.Helper()
	close(d.stopping)
	d.writing.Wait()
	if d.t.Failed() {
		return // what is wrong already would only be told again
	}
	d.compare()
}

func external(id string) *profilev1.Identifier {
	return &profilev1.Identifier{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Source: "ordeal", Value: id}
}

func mail(address string) *profilev1.Identifier {
	return &profilev1.Identifier{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EMAIL, Value: address}
}

// version is the mark that every write leaves in a profile.
func version(n int) *string {
	text := fmt.Sprintf("v%d", n)
	return &text
}
