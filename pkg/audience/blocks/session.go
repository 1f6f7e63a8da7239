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
	// BlocksEvaluated counts the blocks handed out, BlocksSkipped those that their directory proved empty.
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
// version of the block, and knows every field of the query.
//
// Errors: the first of f, which ends the others' work; ErrBlockUnknown, ErrStoreUnreachable, ErrDefinitionsMoved, ErrLayoutGone;
// the context's.
func (s *Session) ForEachBlock(ctx context.Context, q Query, f func(block uint32, b audience.Block) error) error {
	p := plan(q)
	soon, cancel := early(ctx)
	defer cancel()
	group, work := errgroup.WithContext(soon)
	group.SetLimit(s.r.cfg.Parallelism)
	for _, slot := range s.view.slots {
		group.Go(func() error {
			if err := work.Err(); err != nil {
				return err
			}
			if q.Select != nil && s.provenEmpty(slot, q.Select) {
				s.counters.skipped.Add(1)
				return nil
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
	l, err := s.block(ctx, block, plan(Query{Fields: fields}))
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (s *Session) block(ctx context.Context, block uint32, p *fieldPlan) (*loaded, error) {
	slot := s.view.slot(block)
	if slot == nil {
		return &loaded{plan: p, entries: make([]known, len(p.fields))}, nil
	}
	soon, cancel := early(ctx)
	defer cancel()
	l, err := s.load(soon, slot, p)
	if err != nil {
		return nil, gone(ctx, err)
	}
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

// provenEmpty evaluates over what the directory knows to be empty and nothing else. All ordinals count as live: whoever is not a
// member among them is none among fewer. Where the evaluation needs any content it fails, and the block is read.
func (s *Session) provenEmpty(slot *slot, e Expression) bool {
	dir := slot.dir.Load()
	if dir == nil {
		return false
	}
	if _, live := dir.Lookup(audience.FieldLive, 0); live == Empty {
		return true
	}
	var out audience.Bits
	err := e.Eval(&probe{s.view, dir, s.r.all}, nil, &out)
	return err == nil && out.IsEmpty()
}

type probe struct {
	view *View
	dir  *Directory
	live *audience.Bits
}

func (p *probe) empty(f audience.Field) bool {
	_, presence := p.dir.Lookup(f, p.view.declared(f))
	return presence == Empty
}

func (p *probe) Row(f audience.Field) (*audience.Bits, bool) {
	if f == audience.FieldLive {
		return p.live, true
	}
	return nil, p.empty(f)
}

func (p *probe) Column(f audience.Field) (*audience.Column, bool) { return nil, p.empty(f) }

func (p *probe) Cardinality(f audience.Field) (int, bool) {
	if f == audience.FieldLive {
		return audience.BlockSize, true
	}
	e, presence := p.dir.Lookup(f, p.view.declared(f))
	return int(e.Cardinality), presence != Unknown
}
