package gate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience/gate"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

func TestInternalPlatformsSeeEveryStatedAnswer(t *testing.T) {
	g := gate.New(nil)
	for _, answer := range []gate.Answer{gate.AnswerNone, gate.AnswerCount, gate.AnswerMember, gate.AnswerMembership, gate.AnswerInternal} {
		if err := g.Decide(t.Context(), gate.Request{Method: "/m", Answer: answer, Class: gate.ClassInternal}); err != nil {
			t.Errorf("%v: %v", answer, err)
		}
	}
}

func TestContactDataIsForEntitledCallersAlone(t *testing.T) {
	g := gate.New(nil)
	r := gate.Request{Method: "/m", Answer: gate.AnswerContact, Class: gate.ClassInternal}
	if err := g.Decide(t.Context(), r); fault.KindOf(err) != fault.Denied || fault.ReasonOf(err) != gate.ReasonDenied {
		t.Errorf("without entitlement: %v, want denied", err)
	}
	r.Entitled = true
	if err := g.Decide(t.Context(), r); err != nil {
		t.Errorf("with entitlement: %v", err)
	}
}

func TestWhatIsNotStatedIsRefused(t *testing.T) {
	g := gate.New(nil)
	for _, r := range []gate.Request{
		{Method: "/m", Answer: gate.AnswerUnstated, Class: gate.ClassInternal},
		{Method: "/m", Answer: 99, Class: gate.ClassInternal},
		{Method: "/m", Answer: gate.AnswerCount},
		{Method: "/m", Answer: gate.AnswerCount, Class: 99},
	} {
		if err := g.Decide(t.Context(), r); fault.KindOf(err) != fault.Denied || fault.ReasonOf(err) != gate.ReasonDenied {
			t.Errorf("Decide(%+v) = %v, want denied", r, err)
		}
	}
}

func TestTheAuditHearsOfAnswersAboutPeople(t *testing.T) {
	var heard []gate.Answer
	var failures int
	g := gate.New(func(_ context.Context, r gate.Request, err error) {
		heard = append(heard, r.Answer)
		if err != nil {
			failures++
		}
	})
	g.Record(t.Context(), gate.Request{Answer: gate.AnswerNone}, nil)
	g.Record(t.Context(), gate.Request{Answer: gate.AnswerMember}, nil)
	g.Record(t.Context(), gate.Request{Answer: gate.AnswerCount}, errors.New("no"))
	if len(heard) != 2 || heard[0] != gate.AnswerMember || failures != 1 {
		t.Errorf("heard %v with %d failures, want member and count, one failed", heard, failures)
	}
}
