package resolve

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/campaign"
)

// Verdict is what one predicate says of a profile.
type Verdict struct {
	Part, Label string
	Truth       audience.Tri
}

// Explanation says why a profile is a member or not.
type Explanation struct {
	Member bool
	Steps  []Verdict
	Info   Info
}

// Explain says of one profile which predicates of an audience hold. name is the profile's, for messages. NotFound if the index does not
// have the profile.
func (r *Resolver) Explain(ctx context.Context, spec campaign.Spec, c Consistency, uid audience.UID, name string) (*Explanation, error) {
	var answer *Explanation
	err := r.answer(ctx, spec, c, func(s *blocks.Session, p *plan) error {
		var fields []audience.Field
		for _, e := range p.exprs {
			fields = append(fields, e.TruthFields()...)
		}
		answer = nil
		var block uint32
		var ordinal uint16
		err := s.Locate(ctx, []audience.UID{uid}, s.View().Prepare(fields), func(_ int, n uint32, b audience.Block, o uint16) error {
			e := &Explanation{Member: true}
			for i, st := range p.steps {
				truth, err := p.exprs[i].Truth(b, o)
				if err != nil {
					return err
				}
				e.Member = e.Member && truth == audience.True
				e.Steps = append(e.Steps, Verdict{Part: st.part, Label: st.label, Truth: truth})
			}
			answer, block, ordinal = e, n, o
			return nil
		})
		if err != nil {
			return err
		}
		if answer == nil {
			return fault.New(fault.NotFound, ReasonProfileNotFound, "the index has no "+name+"; if it was just written, ask with its consistency token").
				With("profile", name)
		}
		if p.household {
			if answer.Member {
				if answer.Member, err = kept(ctx, s, p, block, ordinal); err != nil {
					return err
				}
			}
			// Who is not among those to choose from is not the one who is kept.
			answer.Steps = append(answer.Steps, Verdict{
				Part: audience.PartOnePerHousehold, Label: labelHousehold, Truth: audience.TriOf(answer.Member),
			})
		}
		answer.Info = info(s, p)
		return nil
	})
	return answer, err
}

// kept reports whether a member is the one of its household who is kept: that depends on all other members.
func kept(ctx context.Context, s *blocks.Session, p *plan, block uint32, ordinal uint16) (bool, error) {
	is := false
	err := p.keepOne(ctx, s, nil, func(at int, _ audience.Block, left *audience.Bits) error {
		if s.View().Block(at) == block {
			is = left.Has(ordinal)
		}
		return nil
	})
	return is, err
}
