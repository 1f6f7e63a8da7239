package sqlstore

import (
	"context"
	"sync"
	"time"

	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// changes wakes who waits for the next commit: this process's own at once, those of others, where there can be any, by asking for the
// head while anybody waits.
type changes struct {
	mu      sync.Mutex
	channel chan struct{} // closed and replaced by every commit that made a revision
	waited  bool          // channel was handed out
	seen    int64         // the head when channel was made, or before

	wanted chan struct{} // told when the channel is handed out
	cancel context.CancelFunc
	done   chan struct{} // closed when nobody asks any more; nil where nobody ever does
}

func newChanges() changes {
	return changes{channel: make(chan struct{}), wanted: make(chan struct{}, 1), cancel: func() {}}
}

// Changed returns a channel that the next commit closes.
func (c *changes) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.waited {
		c.waited = true
		select {
		case c.wanted <- struct{}{}:
		default:
		}
	}
	return c.channel
}

// wake closes the channel that was handed out, if the head is not the one known.
func (c *changes) wake(head int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == head {
		return
	}
	close(c.channel)
	c.channel, c.waited, c.seen = make(chan struct{}), false, head
}

func (c *changes) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waited
}

// watch begins to look for commits of other processes, where the engine lets others write.
func (s *Store) watch(head int64) {
	s.seen = head
	if s.db.Dialect == sqldb.SQLite {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	go s.poll(ctx)
}

func (c *changes) stopWatching() {
	c.cancel()
	if c.done != nil {
		<-c.done
	}
}

// poll asks for the head at each tick at which somebody waits. While the database does not answer it asks less often: who waits reads the
// changes now and then by itself, and hears what is wrong.
func (s *Store) poll(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTimer(s.cfg.Poll)
	defer timer.Stop()
	for {
		if !s.waiting() {
			select {
			case <-s.wanted:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		next := s.cfg.Poll
		if head, err := s.Head(ctx); err == nil {
			s.wake(head.Revision)
		} else {
			next = 25 * s.cfg.Poll
		}
		timer.Reset(next)
	}
}
