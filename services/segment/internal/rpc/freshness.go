package rpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/fault"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// fresh returns when the index is as fresh as the caller wants, or says why it is not. Positions only grow, so an answer that is
// begun afterwards is at least as fresh.
func (s *Service) fresh(ctx context.Context, c *typev1.Consistency) error {
	bound := s.cfg.Staleness
	switch r := c.GetRequirement().(type) {
	case *typev1.Consistency_AtLeastAsFresh:
		p, err := s.positionOf(ctx, r.AtLeastAsFresh)
		if err != nil {
			return err
		}
		if err := s.wait(ctx, p); err != nil {
			return err
		}
	case *typev1.Consistency_FullyConsistent:
		p, err := s.heads(ctx)
		if err != nil {
			return err
		}
		if err := s.wait(ctx, p); err != nil {
			return err
		}
	case *typev1.Consistency_MaxStaleness:
		bound = r.MaxStaleness.AsDuration()
	}
	through, ok := s.cfg.Index.Through()
	if !ok {
		return notReady()
	}
	if through.Age > bound && !c.GetAllowStale() {
		return fault.Newf(fault.Unavailable, reasonStale, "the index is %v old, more than the %v allowed; send the request again, or allow a stale answer",
			through.Age.Round(time.Millisecond), bound).With("age", through.Age).With("bound", bound).Retry(time.Second)
	}
	return nil
}

// heads asks both stores for their newest positions.
func (s *Service) heads(ctx context.Context) (blocks.Position, error) {
	head, err := s.cfg.Profiles.GetHead(ctx, &profilev1.GetHeadRequest{})
	if err != nil {
		return blocks.Position{}, profilesDown(err)
	}
	if _, life, ok := s.cfg.Index.Store(); ok && life != head.GetPosition().GetIncarnation() {
		// The profile store began a new life and the index has not noticed yet: its revisions do not compare.
		return blocks.Position{}, notReady()
	}
	definitions, err := s.cfg.Store.Head(ctx)
	if err != nil {
		return blocks.Position{}, err
	}
	return blocks.Position{Revision: uint64(head.GetPosition().GetRevision()), Definition: definitions.Revision}, nil
}

// wait returns when the index has reached a position.
func (s *Service) wait(ctx context.Context, p blocks.Position) error {
	err := s.cfg.Index.WaitPosition(ctx, p)
	if err == nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.New(fault.Unavailable, reasonTokenNotReached, "the index did not reach the state asked for in time; send the request again").
		Retry(time.Second).Wrap(err)
}

// info says what an answer was made from.
func (s *Service) info(ctx context.Context, a Answer) (*typev1.AnswerInfo, error) {
	id, err := s.storeID(ctx)
	if err != nil {
		return nil, err
	}
	info := &typev1.AnswerInfo{
		ConsistencyToken:   token(id, a.Through.Profiles, a.Through.Definitions),
		Revision:           int64(a.Through.Profiles.Revision),
		DefinitionRevision: int64(a.Through.Definitions.Revision),
		Age:                durationpb.New(a.Through.Age),
		BlocksEvaluated:    int64(a.Blocks),
	}
	for _, u := range a.Segments {
		info.Rules = append(info.Rules, &typev1.RuleVersion{Segment: u.Name, Version: int64(u.Version)})
	}
	return info, nil
}
