package doctor

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"google.golang.org/grpc"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/services/internal/manifestwire"
)

// IndexConfig says what to compare. All of it is needed.
type IndexConfig struct {
	Profiles profilev1.ProfileServiceClient
	// Segments is a connection to the segment service, Blocks where its blocks are.
	Segments grpc.ClientConnInterface
	Blocks   blocks.Store
	// Examples is the most examples of each kind.
	Examples int
	// Wait bounds the wait for the index to reach a position, and for a block.
	Wait time.Duration
}

// errRefill is why no block is written again: looking must not repair.
var errRefill = errors.New("the doctor asks for no refill")

type noRefill struct{}

// Refill implements blocks.Refiller.
func (noRefill) Refill(context.Context, uint32, uint32) error { return errRefill }

// rounds is how often everything is read again while some profiles keep changing.
const rounds = 5

// Index compares every profile of the store with the blocks.
func Index(ctx context.Context, cfg IndexConfig) []Result {
	r := newReport(cfg.Examples, CheckBlocks, CheckMembers, CheckFacts)
	reader, stop, err := manifestwire.Follow(ctx, cfg.Segments, blocks.ReaderConfig{Store: cfg.Blocks, Refiller: noRefill{}, MaxWait: cfg.Wait})
	if err != nil {
		return r.fail(err)
	}
	defer stop()

	i := &index{cfg: cfg, reader: reader, sums: sums{maphash.MakeSeed()}}
	if err := i.compare(ctx, r); err != nil {
		return r.fail(err)
	}
	return r.list()
}

type index struct {
	cfg    IndexConfig
	reader *blocks.Reader
	sums   sums
}

// held is the index as it was read once.
type held struct {
	people  map[audience.UID][]uint64
	blocks  int
	unknown map[uint32]error
}

// compare reads the store, the blocks, and, if they differ, the store again. A profile that has the same revision before and after must be in
// the blocks as it is in the store; one that has not is looked at in the next round.
func (i *index) compare(ctx context.Context, r *report) error {
	before, err := listen(ctx, i.cfg.Profiles, i.sums)
	if err != nil {
		return err
	}
	for round := 1; ; round++ {
		in, err := i.read(ctx, before.through)
		if err != nil {
			return err
		}
		if len(in.unknown) > 0 {
			for block, err := range in.unknown {
				r.differs(CheckBlocks, "block %d cannot be used: %v", block, err)
			}
			r.at(CheckBlocks).Note = fmt.Sprintf("%d blocks", in.blocks)
			return errors.New("some blocks cannot be used; the segment service writes them again when a question needs them")
		}
		suspects := i.suspects(before, in)
		after := before
		if len(suspects) > 0 {
			if after, err = listen(ctx, i.cfg.Profiles, i.sums); err != nil {
				return err
			}
		}
		moving := 0
		for _, uid := range suspects {
			if before.people[uid] != after.people[uid] {
				moving++
			}
		}
		if moving > 0 && round < rounds {
			before = after
			continue
		}
		for _, uid := range suspects {
			if was, is := before.people[uid], after.people[uid]; was == is {
				i.differs(r, uid, is, in.people[uid])
			}
		}
		r.at(CheckBlocks).Note = fmt.Sprintf("%d blocks", in.blocks)
		r.at(CheckMembers).Note = fmt.Sprintf("%d profiles at revision %d", len(before.people), before.through)
		if moving > 0 {
			r.at(CheckFacts).Note = fmt.Sprintf("%d profiles changed all the time and were not compared", moving)
		}
		return nil
	}
}

// suspects are the profiles that are not in the blocks as they are in the store.
func (i *index) suspects(in *told, held *held) (list []audience.UID) {
	for uid, s := range in.people {
		if there := held.people[uid]; len(there) != 1 || there[0] != s.sum {
			list = append(list, uid)
		}
	}
	for uid := range held.people {
		if _, ok := in.people[uid]; !ok {
			list = append(list, uid)
		}
	}
	ascending(list)
	return list
}

func (i *index) differs(r *report, uid audience.UID, is state, there []uint64) {
	switch {
	case is.revision == 0:
		r.differs(CheckMembers, "%s is in the index and not in the store", name(uid))
	case len(there) == 0:
		r.differs(CheckMembers, "%s is in the store and not in the index", name(uid))
	case len(there) > 1:
		r.differs(CheckMembers, "%s is in the index %d times", name(uid), len(there))
	default:
		r.differs(CheckFacts, "%s has other rows or columns than its facts give", name(uid))
	}
}

// read reads all blocks once they have reached a revision.
func (i *index) read(ctx context.Context, revision int64) (*held, error) {
	for try := 1; ; try++ {
		s, err := i.reader.Begin(ctx, blocks.AtLeast(blocks.Position{Revision: uint64(revision)}).AllowStale())
		if err != nil {
			return nil, fmt.Errorf("wait for the index to reach revision %d: %w", revision, err)
		}
		out := &held{people: make(map[audience.UID][]uint64), unknown: make(map[uint32]error)}
		moved := false
		for _, block := range s.View().Blocks() {
			err := i.block(ctx, s, block, out)
			if errors.Is(err, blocks.ErrDefinitionsMoved) || errors.Is(err, blocks.ErrLayoutGone) {
				moved = true
				break
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if errors.Is(err, blocks.ErrStoreUnreachable) {
				return nil, err
			}
			if out.blocks++; err != nil {
				out.unknown[block] = err
			}
		}
		if !moved {
			return out, nil
		}
		if try == rounds {
			return nil, errors.New("definitions changed too often while the blocks were read; try again")
		}
	}
}

// block reads one block under one directory and its dictionary.
func (i *index) block(ctx context.Context, s *blocks.Session, block uint32, out *held) error {
	for try := 1; ; try++ {
		if _, err := s.Block(ctx, block, nil); err != nil { // the directory is known then
			return err
		}
		var fields []audience.Field
		if d := s.View().Directory(block); d != nil {
			for _, e := range d.Entries {
				p, ok := audience.ParseField(e.Field)
				if ok && (p.Class == audience.ClassFact || p.Class == audience.ClassPresence || p.Class == audience.ClassColumn) {
					fields = append(fields, e.Field)
				}
			}
		}
		b, err := s.Block(ctx, block, fields)
		if err != nil {
			return err
		}
		live, _ := b.Row(audience.FieldLive)
		if live.IsEmpty() {
			return nil
		}
		uids, gone, err := s.UIDs(ctx, block, live.Bits(), nil)
		if err != nil {
			return err
		}
		if gone > 0 && try < rounds {
			continue // deleted between the two reads
		}
		if gone > 0 {
			return errors.New("the block changed all the time")
		}
		all := i.sum(b, fields)
		n := 0
		for o := range live.All() {
			out.people[uids[n]] = append(out.people[uids[n]], all[o]+i.sums.row(audience.FieldLive))
			n++
		}
		return nil
	}
}

// sum adds the hashes of each ordinal's rows and columns.
func (i *index) sum(b audience.Block, fields []audience.Field) *[audience.BlockSize]uint64 {
	all := new([audience.BlockSize]uint64)
	for _, f := range fields {
		if p, _ := audience.ParseField(f); p.Class != audience.ClassColumn {
			if row, ok := b.Row(f); ok {
				h := i.sums.row(f)
				for o := range row.All() {
					all[o] += h
				}
			}
			continue
		}
		c, ok := b.Column(f)
		if !ok || c == nil {
			continue
		}
		for o := range c.Present.All() {
			v := audience.ColumnValue{Field: f}
			if num, ok := c.Num(o); ok {
				v.Num = num
			} else if text, ok := c.Text(o); ok {
				v.Text, v.IsText = text, true
			}
			all[o] += i.sums.column(v)
		}
	}
	return all
}
