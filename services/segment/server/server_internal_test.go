package server

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/rpc"
)

// fakeEngine runs until it is told to fail.
type fakeEngine struct {
	rpc.Index
	lease   segment.Epoch
	fail    chan error
	began   chan struct{}
	reached chan struct{}
}

func (e *fakeEngine) Run(ctx context.Context) error {
	close(e.began)
	select {
	case <-ctx.Done():
		return nil
	case err := <-e.fail:
		return err
	}
}

func (e *fakeEngine) Schema() *audience.Schema { return nil }

func (e *fakeEngine) WaitPosition(ctx context.Context, _ blocks.Position) error {
	select {
	case <-e.reached:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// noProfiles is a profile service that nobody calls.
type noProfiles struct{ grpc.ClientConnInterface }

// noBlocks is a store of blocks that answers pings.
type noBlocks struct {
	blocks.Store
	err error
}

func (b *noBlocks) Ping(context.Context) error { return b.err }

type door struct {
	*Server
	blocks *noBlocks
	begun  chan *fakeEngine
}

// newDoor is a door whose engines are fakes.
func newDoor(t *testing.T) *door {
	t.Helper()
	cfg := Default()
	cfg.Path = filepath.Join(t.TempDir(), "segment.db")
	d := &door{blocks: new(noBlocks), begun: make(chan *fakeEngine, 10)}
	var err error
	if d.Server, err = New(t.Context(), cfg, Deps{Profiles: noProfiles{}, Blocks: d.blocks}); err != nil {
		t.Fatal(err)
	}
	d.build = func(lease segment.Epoch) (engine, error) {
		e := &fakeEngine{lease: lease, fail: make(chan error), began: make(chan struct{}), reached: make(chan struct{})}
		d.begun <- e
		return e, nil
	}
	return d
}

// run runs the door until the function that it returns is called, which waits for the end.
func (d *door) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run ended with %v", err)
		}
	}
}

func (d *door) close(t *testing.T) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestTheLeaseIsGivenBackAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		defer d.close(t)
		stop := d.run(t)
		e := <-d.begun
		<-e.began
		if _, err := d.index.running(); err != nil {
			t.Errorf("while it runs: %v", err)
		}
		if _, err := d.store.AcquireLease(t.Context(), "other", time.Minute); fault.ReasonOf(err) != segment.ReasonNotLeaseHolder {
			t.Errorf("another holder took the lease: %v", err)
		}
		// It is renewed for as long as it is used.
		<-time.After(time.Minute)
		if _, err := d.store.AcquireLease(t.Context(), "other", time.Minute); fault.ReasonOf(err) != segment.ReasonNotLeaseHolder {
			t.Errorf("after a minute another holder took the lease: %v", err)
		}
		stop()
		if next, err := d.store.AcquireLease(t.Context(), "other", time.Minute); err != nil || next.Number != e.lease.Number+1 {
			t.Errorf("after the end: %+v, %v", next, err)
		}
		_, err := d.index.running()
		if fault.ReasonOf(err) != "INDEX_NOT_READY" {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestAnIndexThatFailsIsBegunAnewUnderANewLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		defer d.close(t)
		defer d.run(t)()
		first := <-d.begun
		waited := make(chan error, 1)
		go func() { waited <- d.index.WaitPosition(t.Context(), blocks.Position{Revision: 1}) }()
		synctest.Wait()
		first.fail <- errors.New("broken")
		second := <-d.begun
		if second.lease.Number != first.lease.Number+1 {
			t.Errorf("leases %d, then %d", first.lease.Number, second.lease.Number)
		}
		// Who waited for a position waits for the new index.
		synctest.Wait()
		select {
		case err := <-waited:
			t.Fatalf("the wait ended with the index: %v", err)
		default:
		}
		close(second.reached)
		if err := <-waited; err != nil {
			t.Error(err)
		}
	})
}

func TestALostLeaseEndsItsIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t)
		defer d.close(t)
		defer d.run(t)()
		first := <-d.begun
		<-first.began
		begin := time.Now()
		// The same name elsewhere, which must not be: the lease number tells.
		stolen, err := d.store.AcquireLease(t.Context(), d.cfg.Holder, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		second := <-d.begun
		if second.lease.Number != stolen.Number+1 || time.Since(begin) > d.cfg.LeaseTTL {
			t.Errorf("lease %d after %d, %v later", second.lease.Number, stolen.Number, time.Since(begin))
		}
	})
}

func TestAWaitWithoutAnIndexEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCurrent()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.WaitPosition(ctx, blocks.Position{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without an index: %v", err)
		}
		c.set(&fakeEngine{reached: make(chan struct{})})
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.WaitPosition(ctx, blocks.Position{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with one that does not get there: %v", err)
		}
	})
}

// registrar counts what is registered.
type registrar map[string]bool

func (r registrar) RegisterService(d *grpc.ServiceDesc, _ any) { r[d.ServiceName] = true }

func TestTheDoorRegistersItsServicesAndAsksItsStores(t *testing.T) {
	d := newDoor(t)
	r := registrar{}
	d.Register(r)
	for _, want := range []string{segmentv1.SegmentService_ServiceDesc.ServiceName, segmentv1.InsightService_ServiceDesc.ServiceName,
		segmentv1.MembershipService_ServiceDesc.ServiceName} {
		if !r[want] {
			t.Errorf("%s is not registered", want)
		}
	}
	if err := d.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
	d.blocks.err = fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "down")
	if err := d.Ready(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without blocks: %v", err)
	}
	d.blocks.err = nil
	d.close(t)
	if err := d.Ready(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after close: %v", err)
	}
}

func TestADoorWithoutWhatItNeedsIsRefused(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for name, f := range map[string]func(*Config){
		"path": func(c *Config) { c.Path = "" }, "holder": func(c *Config) { c.Holder = "" },
		"ttl": func(c *Config) { c.LeaseTTL = time.Millisecond }, "staleness": func(c *Config) { c.Staleness = 0 },
		"slow": func(c *Config) { c.Slow = -1 }, "tick": func(c *Config) { c.Tick = 0 }, "audit": func(c *Config) { c.Audit = -1 },
	} {
		c := Default()
		f(&c)
		if _, err := New(t.Context(), c, Deps{Profiles: noProfiles{}, Blocks: new(noBlocks)}); err == nil {
			t.Errorf("a bad %s was taken", name)
		}
	}
	if _, err := New(t.Context(), Default(), Deps{}); err == nil {
		t.Error("a door without neighbours was made")
	}
}
