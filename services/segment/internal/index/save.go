package index

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/services/segment/internal/checkpoint"
)

// savePace is how long the index does other things after each block that it made ready for a checkpoint, by the time that this took.
const savePace = 10

// saver writes checkpoints, one block a tick at most: the ticking goroutine makes a block's bytes, another writes them.
type saver struct {
	dir   *checkpoint.Dir
	every time.Duration
	due   time.Time // when the next checkpoint may begin

	st    *state            // whose blocks files are of
	files []checkpoint.File // what is written of each block, by number
	last  blocks.Point      // position of the last checkpoint
	run   *saving           // under way; nil: none

	writing sync.WaitGroup
}

// saving is one checkpoint under way.
type saving struct {
	manifest checkpoint.Manifest
	at       blocks.Point
	todo     []*block // that differ from their files
	taken    []*block // made ready
	next     time.Time

	work   chan *checkpoint.Block // of capacity 1; closed after the last
	closed bool
	ended  chan error // gets one
	files  []checkpoint.File
	cut    context.CancelFunc
}

// save goes on with the checkpoint under way, or begins one when it is time and there is something new.
func (x *Index) save(ctx context.Context, st *state) {
	s := x.saver
	if s == nil || !st.live || st.cursor == "" {
		return
	}
	if s.st != st {
		s.abandon()
		s.st, s.files, s.last = st, st.files, blocks.Point{}
	}
	now := x.now()
	if s.run == nil {
		// What is given out, or was deleted, and is not yet in the store of ordinals would be missing there after a restart.
		if now.Before(s.due) || st.read == s.last || len(st.fresh) > 0 || len(st.blank) > 0 {
			return
		}
		s.run = x.begunSaving(ctx, st)
	}
	r := s.run
	select {
	case err := <-r.ended:
		s.finish(x, err)
		return
	default:
	}
	if st.between {
		return // blocks have changes that the cursor does not know of yet
	}
	switch {
	case len(r.todo) == 0:
		if !r.closed {
			r.closed = true
			// No block holds anything newer.
			r.manifest.Newest = st.cursor
			r.manifest.Definitions = checkpoint.Position{Incarnation: st.snapshot.Incarnation, Revision: st.snapshot.Revision, Mark: []byte(st.snapshot.Mark)}
			close(r.work)
		}
	case len(r.work) == 0 && !now.Before(r.next):
		b := r.todo[0]
		r.todo, r.taken = r.todo[1:], append(r.taken, b)
		b.unsaved = false
		content, err := b.content()
		if err != nil { // a column that cannot be: writing the block will say so too
			r.cut()
			x.log.ErrorContext(ctx, "checkpoint given up", "error", err)
		} else {
			r.work <- content
		}
		pause := savePace * x.now().Sub(now)
		r.next = now.Add(pause)
		time.AfterFunc(pause, x.signal)
	}
}

// begunSaving notes what the checkpoint is of, and starts its writer. Changes that come while it is written are in the files of some
// blocks and not of others: they are replayed after a restart.
func (x *Index) begunSaving(ctx context.Context, st *state) *saving {
	ctx, cut := context.WithCancel(ctx)
	r := &saving{
		manifest: checkpoint.Manifest{
			Store: st.identity.Store, Incarnation: st.identity.Incarnation, Currency: st.identity.Currency, Zone: st.identity.Zone,
			Layout: st.layout, Cursor: st.cursor, Revision: st.read.Revision, Mark: st.read.Mark,
		},
		at: st.read, work: make(chan *checkpoint.Block, 1), ended: make(chan error, 1), files: slices.Clone(x.saver.files), cut: cut,
	}
	for _, a := range st.attributes {
		r.manifest.Attributes = append(r.manifest.Attributes, a)
	}
	slices.SortFunc(r.manifest.Attributes, func(a, b audience.Attribute) int { return strings.Compare(a.Name, b.Name) })
	for _, b := range st.blocks {
		if int(b.n) >= len(r.files) || b.unsaved {
			r.todo = append(r.todo, b)
		}
	}
	x.saver.writing.Go(func() {
		r.ended <- r.write(ctx, x.saver.dir, x.signal)
		x.signal()
	})
	x.signal()
	return r
}

// write writes what comes, and commits when all has come. It signals that it can take more.
func (r *saving) write(ctx context.Context, dir *checkpoint.Dir, signal func()) error {
	for {
		select {
		case b, more := <-r.work:
			if !more {
				r.manifest.Blocks = r.files
				return dir.Commit(r.manifest)
			}
			f, err := dir.Write(r.manifest.Store, r.manifest.Layout, b)
			if err != nil {
				return err
			}
			for int(f.Number) >= len(r.files) {
				r.files = append(r.files, checkpoint.File{})
			}
			r.files[f.Number] = f
			signal()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// finish takes over what came of a checkpoint.
func (s *saver) finish(x *Index, err error) {
	r := s.run
	s.run, s.due = nil, x.now().Add(s.every)
	r.cut()
	if err != nil {
		x.metrics.checkpoint(outcomeFailed)
		// Which of the files were written does not matter: these blocks are written again.
		for _, b := range r.taken {
			b.unsaved = true
		}
		x.log.Warn("checkpoint not written, trying again later", "error", err, "pause", s.every)
		return
	}
	x.metrics.checkpoint(outcomeSaved)
	s.files, s.last = r.files, r.at
}

// abandon ends a checkpoint under way without committing it, and waits for its writer.
func (s *saver) abandon() {
	if s == nil || s.run == nil {
		return
	}
	s.run.cut()
	s.writing.Wait()
	for _, b := range s.run.taken {
		b.unsaved = true
	}
	s.run = nil
}

// content returns a block as a checkpoint keeps it: fields in the encoding of the block store, in order, so that the same content has the
// same bytes.
func (b *block) content() (*checkpoint.Block, error) {
	c := &checkpoint.Block{Number: b.n, UIDs: slices.Clone(b.uids)}
	for _, rows := range []map[audience.Field]*row{b.rows, b.segments} {
		for f, r := range rows {
			data, _ := blocks.EncodeRow(r.bits())
			c.Fields = append(c.Fields, checkpoint.Field{Name: f, Data: data})
		}
	}
	for f, col := range b.columns {
		data, _, err := blocks.EncodeColumn(col.snapshot())
		if err != nil {
			return nil, fmt.Errorf("block %d: encode %s: %w", b.n, f, err)
		}
		c.Fields = append(c.Fields, checkpoint.Field{Name: f, Data: data})
	}
	slices.SortFunc(c.Fields, func(a, b checkpoint.Field) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return c, nil
}
