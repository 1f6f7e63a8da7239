package e2e_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/suite/e2e/worldtest"
)

// seen is what a watcher was told last of a profile.
type seen struct {
	revision int64
	profile  *profilev1.Profile // nil: deleted
}

// follower watches, and goes on after its last cursor whenever it is cut.
type follower struct {
	d         *ordeal
	a         *actor
	after     string // its last cursor
	through   atomic.Int64
	last      int64 // highest revision of a change
	profiles  map[string]seen
	streams   int
	changes   int
	deletions int

	ctx context.Context
	end context.CancelFunc
}

// newFollower makes a watcher that has seen nothing.
func (d *ordeal) newFollower(name string) *follower {
	f := &follower{d: d, a: &actor{d: d, name: name, r: d.random}, profiles: map[string]seen{}}
	f.ctx, f.end = context.WithCancel(d.ctx)
	return f
}

// watcher starts the watcher whose map is compared in the end.
func (d *ordeal) watcher() {
	d.watch = d.newFollower("watcher")
	d.actors = append(d.actors, d.watch.a)
	d.watching.Go(d.watch.run)
}

// run watches until it is ended.
func (f *follower) run() {
	for f.ctx.Err() == nil {
		harm := f.d.harm.Load()
		err := f.once()
		if f.ctx.Err() != nil {
			return
		}
		f.a.judge("watching", harm|f.d.harm.Load(), err)
		worldtest.Pause(f.ctx, 10*time.Millisecond)
	}
}

// once reads one stream to its end.
func (f *follower) once() error {
	s, err := f.d.profiles.WatchProfiles(f.ctx, &profilev1.WatchProfilesRequest{After: f.after})
	if err != nil {
		return err
	}
	f.streams++
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		for _, c := range m.GetChanges() {
			if err := f.take(c); err != nil {
				f.d.t.Errorf("%s: %v", f.a.name, err)
			}
		}
		// The changes are kept before the cursor is.
		f.after = m.GetChangesThrough()
		f.through.Store(m.GetPosition().GetRevision())
		f.a.acks.Add(1)
	}
}

func (f *follower) take(c *profilev1.WatchProfilesResponse_Change) error {
	revision := c.GetRevision()
	if revision <= f.last {
		return fmt.Errorf("revision %d follows %d", revision, f.last)
	}
	f.last = revision
	f.changes++
	name := c.GetDeletedProfile()
	p := c.GetProfile()
	if p != nil {
		name = p.GetName()
	}
	before, known := f.profiles[name]
	switch {
	case name == "":
		return fmt.Errorf("the change %d is about nobody", revision)
	case known && before.profile == nil:
		return fmt.Errorf("%s was deleted at %d and changes at %d", name, before.revision, revision)
	case p == nil:
		f.deletions++
	}
	f.profiles[name] = seen{revision, p}
	return nil
}

// reach waits until the watcher knows everything up to a revision.
func (f *follower) reach(revision int64) {
	f.d.t.Helper()
	ctx, cancel := context.WithTimeout(f.d.ctx, 2*patience)
	defer cancel()
	for f.through.Load() < revision {
		if ctx.Err() != nil {
			f.d.t.Fatalf("%s knows everything up to %d, and the store is at %d", f.a.name, f.through.Load(), revision)
		}
		worldtest.Pause(ctx, 2*time.Millisecond)
	}
}

// differs compares with what the store has.
func (f *follower) differs(list map[string]*profilev1.Profile) {
	t := f.d.t
	t.Helper()
	alive, revisions := 0, map[int64]string{}
	for name, s := range f.profiles {
		if other := revisions[s.revision]; other != "" {
			t.Errorf("%s: %s and %s have both the revision %d", f.a.name, name, other, s.revision)
		}
		revisions[s.revision] = name
		stored := list[name]
		switch {
		case s.profile == nil && stored != nil:
			t.Errorf("%s was told that %s is deleted, and it is there", f.a.name, name)
		case s.profile != nil && stored == nil:
			t.Errorf("%s was not told that %s is gone", f.a.name, name)
		case s.profile != nil && !proto.Equal(s.profile, stored):
			t.Errorf("%s has\n%v\nthe store\n%v", f.a.name, s.profile, stored)
		}
		if s.profile != nil {
			alive++
		}
	}
	if alive != len(list) {
		t.Errorf("%s has %d profiles of %d", f.a.name, alive, len(list))
	}
}
