package blocks

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Expression is what is evaluated over blocks; audience.Expr is one.
type Expression interface {
	// Fields returns all rows and columns that Eval may ask for.
	Fields() []audience.Field
	// Eval sets out to the members among within (nil: all live ones). A field that the block does not know ends it with an error,
	// unless the members are known without it.
	Eval(b audience.Block, within, out *audience.Bits) error
	// Guess estimates the number of members from cardinalities alone. It is 0 only if there can be none.
	Guess(b audience.Block) int
}

var _ Expression = (*audience.Expr)(nil)

// Query says what an answer needs of each block.
type Query struct {
	// Fields are the rows and columns to load; the live row always is.
	Fields []audience.Field
	// Select, if set, says whose blocks matter: its fields are loaded too, and blocks that it finds empty by their directory
	// alone are passed over without reading them.
	Select Expression
}

// Session is one answer's hold on one view. It is safe for concurrent use and needs no closing.
type Session struct {
	r           *Reader
	view        *View
	age         time.Duration
	consistency Consistency
	bound       time.Duration
	counters    *counters
}

type counters struct {
	memory, store, refilled, evaluated, skipped atomic.Int64
}

// Stats says what an answer was made from.
type Stats struct {
	// FieldsFromMemory and FieldsFromStore count rows, columns and dictionary parts.
	FieldsFromMemory, FieldsFromStore int64
	// BlocksRefilled counts the blocks that had to be written again.
	BlocksRefilled int64
	// BlocksEvaluated counts the blocks handed out, or counted by their directory, BlocksSkipped those that it proved empty.
	BlocksEvaluated, BlocksSkipped int64
}

// View returns the view that the answer is made under.
func (s *Session) View() *View { return s.view }

// Age returns how old the view was when the session began.
func (s *Session) Age() time.Duration { return s.age }

// Through returns what the answer is not older than.
func (s *Session) Through() Through { return s.view.Through }

// Stats returns the counts so far, those of sessions refreshed from this one included.
func (s *Session) Stats() Stats {
	c := s.counters
	return Stats{
		FieldsFromMemory: c.memory.Load(), FieldsFromStore: c.store.Load(), BlocksRefilled: c.refilled.Load(),
		BlocksEvaluated: c.evaluated.Load(), BlocksSkipped: c.skipped.Load(),
	}
}

// ForEachBlock calls f for every block of the view, in no order and from several goroutines at a time. What f is given is of one
// version of the block, and knows every field of the query. Scan is faster where not every field of every block is needed.
//
// Errors: the first of f, which ends the others' work; ErrBlockUnknown, ErrStoreUnreachable, ErrDefinitionsMoved, ErrLayoutGone;
// the context's.
func (s *Session) ForEachBlock(ctx context.Context, q Query, f func(block uint32, b audience.Block) error) error {
	p := s.view.plan(q)
	soon, cancel := early(ctx)
	defer cancel()
	group, work := errgroup.WithContext(soon)
	group.SetLimit(s.r.cfg.Parallelism)
	for _, slot := range s.view.slots {
		group.Go(func() error {
			if err := work.Err(); err != nil {
				return err
			}
			if q.Select != nil {
				if dir := slot.dir.Load(); dir != nil && provenEmpty(&hot{plan: p, dir: dir}, q.Select) {
					s.counters.skipped.Add(1)
					return nil
				}
			}
			l, err := s.load(work, slot, p)
			if err != nil {
				return err
			}
			s.counters.evaluated.Add(1)
			return f(slot.block, l)
		})
	}
	return gone(ctx, group.Wait())
}

// Block returns one block with the fields. Errors as for ForEachBlock; a block that the view does not have is empty.
func (s *Session) Block(ctx context.Context, block uint32, fields []audience.Field) (audience.Block, error) {
	l, err := s.block(ctx, block, s.view.plan(Query{Fields: fields}))
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (s *Session) block(ctx context.Context, block uint32, p *fieldPlan) (*loaded, error) {
	slot := s.view.slot(block)
	if slot == nil {
		return &loaded{ctx: ctx, plan: p, entries: make([]known, len(p.fields))}, nil
	}
	soon, cancel := early(ctx)
	defer cancel()
	l, err := s.load(soon, slot, p)
	if err != nil {
		return nil, gone(ctx, err)
	}
	l.ctx = ctx
	s.counters.evaluated.Add(1)
	return l, nil
}

// gone returns the caller's own end where it went away, whatever came of that, else err.
func gone(caller context.Context, err error) error {
	if err != nil && errors.Is(caller.Err(), context.Canceled) {
		return fmt.Errorf("read blocks: %w", caller.Err())
	}
	return err
}

// provenEmpty reports whether the directory alone tells that a block has no members.
func provenEmpty(b audience.Block, e Expression) bool {
	if n, ok := b.Cardinality(audience.FieldLive); ok && n == 0 {
		return true
	}
	return e.Guess(b) == 0
}
