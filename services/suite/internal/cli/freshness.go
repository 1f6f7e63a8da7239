package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/upload"
)

// freshness says how fresh an answer has to be.
type freshness struct {
	Consistency string `help:"How fresh: minimize_latency, full, token:TOKEN or max-staleness:DURATION." default:"minimize_latency" group:"Freshness"`
	AtLeast     string `help:"Include every write of this consistency token; same as --consistency=token:TOKEN." placeholder:"TOKEN" group:"Freshness"`
	AllowStale  bool   `help:"Take an answer that is older than the service's bound rather than none." group:"Freshness"`
}

func (f freshness) message() (*typev1.Consistency, error) {
	c := &typev1.Consistency{AllowStale: f.AllowStale}
	kind, value, _ := strings.Cut(f.Consistency, ":")
	if f.AtLeast != "" {
		if kind != "minimize_latency" && f.Consistency != "token:"+f.AtLeast {
			return nil, usage("--at-least and --consistency say different things; give one of them")
		}
		kind, value = "token", f.AtLeast
	}
	switch {
	case kind == "minimize_latency" && value == "":
	case (kind == "full" || kind == "fully_consistent") && value == "":
		c.Requirement = &typev1.Consistency_FullyConsistent{FullyConsistent: true}
	case kind == "token" && value != "":
		c.Requirement = &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: value}
	case kind == "max-staleness" || kind == "max_staleness":
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return nil, usage("--consistency=max-staleness:%s: give a duration such as 500ms or 2s", value)
		}
		c.Requirement = &typev1.Consistency_MaxStaleness{MaxStaleness: durationpb.New(d)}
	default:
		return nil, usage("--consistency=%s: give minimize_latency, full, token:TOKEN or max-staleness:DURATION", f.Consistency)
	}
	return c, nil
}

// writing is what commands share that write.
type writing struct {
	NoWait bool `help:"Do not wait until questions include the write."`
}

// settle waits until the index includes a write. That it does not in time is told and is no failure: the write is durable.
func (s *session) settle(w writing, token string) {
	if w.NoWait || token == "" {
		return
	}
	ctx, cancel := s.call()
	defer cancel()
	err := s.patiently(ctx, func(ctx context.Context) error {
		_, err := s.client.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{
			Audience:    &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Spec{Spec: &campaignv1.AudienceSpec{}}},
			Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token}},
		})
		return err
	})
	if err != nil {
		s.note("warning: the write is stored; questions may not include it yet (%s)\n", fault.ReasonOf(err))
	}
}

// asked asks a question within the time-out of one call, again while it is UNAVAILABLE for a passing reason.
func asked[Req, Res any](s *session, ask func(context.Context, Req, ...grpc.CallOption) (Res, error), req Req) (answer Res, err error) {
	ctx, cancel := s.call()
	defer cancel()
	err = s.patiently(ctx, func(ctx context.Context) error {
		answer, err = ask(ctx, req)
		return err
	})
	return answer, err
}

// patiently repeats a question while it is UNAVAILABLE for a passing reason, until its context ends.
func (s *session) patiently(ctx context.Context, ask func(context.Context) error) error {
	for {
		err := ask(ctx)
		f := fault.As(err)
		if f == nil || f.Kind != fault.Unavailable {
			return err
		}
		switch f.Reason {
		case "SEGMENT_BUILDING", "INDEX_NOT_READY", "INDEX_STALE", "BLOCK_UNKNOWN", "DEFINITIONS_CHANGING", "TOKEN_NOT_REACHED":
		default:
			return err
		}
		wait := min(max(f.RetryAfter, 50*time.Millisecond), time.Second)
		if ended := upload.Pause(ctx, wait); errors.Is(ended, context.DeadlineExceeded) {
			return err // why it was unavailable says more than that time is up
		} else if ended != nil {
			return ended
		}
	}
}
