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
		counts := make([]uint64, len(p.steps)+1)
		kept := int64(0)
		var mu sync.Mutex
		households := newInOrder(s.View().Blocks(), &kept)
		err := s.ForEachBlock(ctx, p.query(false), func(block uint32, b audience.Block) error {
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
			if p.household {
				return households.add(block, b, out, nil)
			}
			return nil
		})
		if err != nil {
			return err
		}
		answer = &Count{Steps: []Step{{Part: partEveryone, Label: partEveryone, Count: int64(counts[0])}}, Info: info(s, p)}
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

// query is what the plan needs of each block. skip passes over blocks that their directories prove empty; the narrowing needs
// the counts of all.
func (p *plan) query(skip bool) blocks.Query {
	var q blocks.Query
	for _, e := range p.exprs {
		q.Fields = append(q.Fields, e.Fields()...)
	}
	if p.household {
		q.Fields = append(q.Fields, audience.HouseholdField)
	}
	if skip {
		q.Select = p.all
	}
	return q
}
