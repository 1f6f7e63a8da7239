package resolve

import (
	"context"
	"sync"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// Step is one line of the narrowing.
type Step struct {
	// Part is the spec's part, "everyone" for the first step; Label is for people.
	Part, Label string
	// Count is how many remain.
	Count int64
}

// Count is a counted audience.
type Count struct {
	Steps []Step
	Info  Info
}

// Total is the number of members: what the last step leaves.
func (c *Count) Total() int64 { return c.Steps[len(c.Steps)-1].Count }

// Names of the lines of the narrowing that are no predicate of the spec.
const (
	partEveryone   = "everyone"
	labelHousehold = "one per household"
)

// Count counts an audience, with its narrowing.
func (r *Resolver) Count(ctx context.Context, spec campaign.Spec, c Consistency) (*Count, error) {
	var answer *Count
	err := r.answer(ctx, spec, c, func(s *blocks.Session, p *plan) error {
		var counts []uint64
		kept := int64(0)
		var err error
		if p.household {
			counts, err = r.narrowByHousehold(ctx, s, p, &kept)
		} else {
			counts, err = narrow(ctx, s, p)
		}
		if err != nil {
			return err
		}
		answer = &Count{Steps: make([]Step, 1, len(counts)+1), Info: info(s, p)}
		answer.Steps[0] = Step{Part: partEveryone, Label: partEveryone, Count: int64(counts[0])}
		for i, st := range p.steps {
			answer.Steps = append(answer.Steps, Step{Part: st.part, Label: st.label, Count: int64(counts[i+1])})
		}
		if p.household {
			answer.Steps = append(answer.Steps, Step{Part: audience.PartOnePerHousehold, Label: labelHousehold, Count: kept})
		}
		return nil
	})
	return answer, err
}

// Total counts an audience without its narrowing: what needs the members alone can take the most selective predicates first.
func (r *Resolver) Total(ctx context.Context, spec campaign.Spec, c Consistency) (members int64, from Info, err error) {
	err = r.answer(ctx, spec, c, func(s *blocks.Session, p *plan) error {
		if p.household {
			members = 0
			if _, err := r.narrowByHousehold(ctx, s, p, &members); err != nil {
				return err
			}
			from = info(s, p)
			return nil
		}
		const apart = 8 // counts of different scanners do not share a line of the processor's caches
		counts := make([]int64, s.Scanners()*apart)
		_, err := s.Scan(ctx, blocks.Scan{
			Fields: p.fields,
			Look:   blocks.Absent(p.all),
			Looks:  &p.absent,
			Do: func(scanner, _ int, b audience.Block) error {
				n, err := p.all.Count(b)
				if err == nil {
					counts[scanner*apart] += int64(n)
				}
				return err
			},
		})
		members = 0
		for _, n := range counts {
			members += n
		}
		from = info(s, p)
		return err
	})
	return members, from, err
}

// narrow counts who is left after each step. Most blocks of a narrow audience are counted by their directories alone.
func narrow(ctx context.Context, s *blocks.Session, p *plan) ([]uint64, error) {
	// A line of counts for each scanner; after each is the count of one block.
	n := len(p.steps) + 1
	lines := make([]uint64, (2*s.Scanners()+1)*n)
	total := lines[:n]
	told, err := s.Scan(ctx, blocks.Scan{
		Fields: p.fields,
		Look:   p.look,
		Looks:  &p.narrowed,
		Do: func(scanner, _ int, b audience.Block) error {
			at := (2*scanner + 1) * n
			sum, one := lines[at:at+n], lines[at+n:at+2*n]
			clear(one)
			if err := audience.Narrow(p.exprs, b, one, nil); err != nil {
				return err
			}
			for i, count := range one {
				sum[i] += count
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	copy(total, told[:])
	for at := n; at < len(lines); at += 2 * n {
		for i, count := range lines[at : at+n] {
			total[i] += count
		}
	}
	return total, nil
}

// look narrows by a block's directory alone, if that tells all.
func (p *plan) look(b audience.Block) blocks.Look {
	live, first, ok := audience.NarrowUnread(p.exprs, b)
	return blocks.Look{
		Done: ok, Found: len(p.exprs) == 0 && live > 0 || len(p.exprs) == 1 && first > 0, Told: [2]uint32{uint32(live), uint32(first)},
	}
}

// narrowByHousehold is narrow, and counts in kept the members of whom one of each household is left.
func (r *Resolver) narrowByHousehold(ctx context.Context, s *blocks.Session, p *plan, kept *int64) ([]uint64, error) {
	counts := make([]uint64, len(p.steps)+1)
	var mu sync.Mutex
	households := newInOrder(s.View().Blocks(), kept)
	err := s.ForEachBlock(ctx, p.query(), func(block uint32, b audience.Block) error {
		mine := make([]uint64, len(counts))
		out := new(audience.Bits)
		if err := audience.Narrow(p.exprs, b, mine, out); err != nil {
			return err
		}
		mu.Lock()
		for i, n := range mine {
			counts[i] += n
		}
		mu.Unlock()
		return households.add(block, b, out, nil)
	})
	return counts, err
}

// query is what the plan needs of every block where households are told apart.
func (p *plan) query() blocks.Query {
	q := blocks.Query{Fields: []audience.Field{audience.HouseholdField}}
	for _, e := range p.exprs {
		q.Fields = append(q.Fields, e.Fields()...)
	}
	return q
}
