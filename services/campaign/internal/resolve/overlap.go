package resolve

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// Overlap says what each two of several audiences have in common.
type Overlap struct {
	// Common holds, row by row, how many are members of the audience of the row and of that of the column, for columns from that of the
	// row on: where they are the same, its members.
	Common []uint64
	// Base is how many profiles there are.
	Base int64
	Info Info
}

// Overlap counts what each two audiences have in common. wrong puts an error about one of the specs where the request has it. An audience
// of one per household is refused: who is kept follows from the other members, so what two of them share says nothing of either.
func (r *Resolver) Overlap(ctx context.Context, specs []campaign.Spec, c Consistency, wrong func(at int, err error) error) (*Overlap, error) {
	var answer *Overlap
	err := r.ask(ctx, c, func(s *blocks.Session) (err error) {
		plans := make([]*plan, len(specs))
		for i, spec := range specs {
			if spec.OnePerHousehold {
				return wrong(i, fault.InvalidField(campaign.ReasonValidation, "spec."+audience.PartOnePerHousehold,
					"the overlap is of people, not of households; leave one_per_household out"))
			}
		}
		for i, spec := range specs {
			if plans[i], err = r.planned(ctx, s.View(), spec); err != nil {
				return wrong(i, err)
			}
		}
		answer, err = overlap(ctx, s, plans)
		return err
	})
	return answer, err
}

func overlap(ctx context.Context, s *blocks.Session, plans []*plan) (*Overlap, error) {
	fields := []audience.Field{audience.FieldLive}
	exprs := make([]*audience.Expr, len(plans))
	for i, p := range plans {
		exprs[i] = p.all
		fields = append(fields, p.all.Fields()...)
	}
	n := len(plans)
	// A line for each scanner: the pairs, then everybody. After it is what one block adds.
	line := n*n + 1
	lines := make([]uint64, 2*s.Scanners()*line)
	_, err := s.Scan(ctx, blocks.Scan{
		Fields: s.View().Prepare(fields),
		Do: func(scanner, _ int, b audience.Block) error {
			sum, one := lines[2*scanner*line:][:line], lines[(2*scanner+1)*line:][:line]
			clear(one)
			live, ok := b.Cardinality(audience.FieldLive)
			if !ok {
				return &audience.UnknownError{Field: audience.FieldLive}
			}
			one[n*n] = uint64(live)
			if err := audience.OverlapOf(exprs, b, one[:n*n]); err != nil {
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
	total := lines[:line]
	for at := 2 * line; at < len(lines); at += 2 * line {
		for i, count := range lines[at:][:line] {
			total[i] += count
		}
	}
	return &Overlap{Common: total[:n*n], Base: int64(total[n*n]), Info: info(s, plans...)}, nil
}
