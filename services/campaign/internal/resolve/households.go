package resolve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
)

// inOrder keeps one member of each household over blocks that are evaluated in any order: the first by block and ordinal. A block
// waits, with its members and its column of households, until all before it were shown.
type inOrder struct {
	mu     sync.Mutex
	blocks []uint32 // still to be shown, ascending
	held   map[uint32]waitingBlock
	keep   audience.Households
	count  *int64
}

type waitingBlock struct {
	column  *audience.Column
	members *audience.Bits
	then    func(*audience.Bits)
}

// newInOrder returns an inOrder for a view's blocks, each of which must be added once. count, which may be nil, counts who is kept.
func newInOrder(blocks []uint32, count *int64) *inOrder {
	return &inOrder{blocks: blocks, held: make(map[uint32]waitingBlock), count: count}
}

// add shows a block's members. then, if not nil, is called with those that are kept, once all blocks before were added; members
// must not be used until then.
func (h *inOrder) add(block uint32, b audience.Block, members *audience.Bits, then func(*audience.Bits)) error {
	column, ok := b.Column(audience.HouseholdField)
	if !ok {
		return &audience.UnknownError{Field: audience.HouseholdField}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[block] = waitingBlock{column, members, then}
	for len(h.blocks) > 0 {
		w, ok := h.held[h.blocks[0]]
		if !ok {
			return nil
		}
		delete(h.held, h.blocks[0])
		h.blocks = h.blocks[1:]
		if err := h.keep.Keep(columnBlock{column: w.column}, w.members); err != nil {
			return fmt.Errorf("keep one per household: %w", err)
		}
		if h.count != nil {
			*h.count += int64(w.members.Count())
		}
		if w.then != nil {
			w.then(w.members)
		}
	}
	return nil
}

// keepOne goes over all blocks of an audience that keeps one member of each household, in the order of their numbers, one at a time: at is
// the block's place in the view, and members are those that are kept. fields are what do reads beside the plan's.
func (p *plan) keepOne(ctx context.Context, s *blocks.Session, fields []audience.Field, do func(at int, b audience.Block, members *audience.Bits) error) error {
	list := s.View().Blocks()
	households := newInOrder(list, nil)
	q := p.query()
	q.Fields = append(q.Fields, fields...)
	var failed error
	err := s.ForEachBlock(ctx, q, func(block uint32, b audience.Block) error {
		out := new(audience.Bits)
		if err := p.all.Eval(b, nil, out); err != nil {
			return err
		}
		return households.add(block, b, out, func(left *audience.Bits) {
			if at, ok := slices.BinarySearch(list, block); ok && failed == nil {
				failed = do(at, b, left)
			}
		})
	})
	return errors.Join(err, failed)
}

// columnBlock is a block of which only the column of households is known.
type columnBlock struct{ column *audience.Column }

func (c columnBlock) Row(audience.Field) (audience.Row, bool) { return audience.Row{}, false }

func (c columnBlock) Column(f audience.Field) (*audience.Column, bool) {
	return c.column, f == audience.HouseholdField
}

func (c columnBlock) Cardinality(audience.Field) (int, bool) { return 0, false }
