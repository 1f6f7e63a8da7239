package gate

import (
	"context"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Answer is the kind of an answer, by what it reveals about people.
type Answer uint8

// The kinds of answers.
const (
	AnswerUnstated   Answer = iota // a method whose contract does not say: always refused
	AnswerNone                     // no count of people, no member and no membership
	AnswerCount                    // counts of people, or shares made from them
	AnswerMember                   // who is a member
	AnswerMembership               // whether or why one given person is a member
	AnswerInternal                 // what only the suite's own services ask for
	AnswerContact                  // what people can be reached or recognised by elsewhere
)

// String names the kind, as logs and audits show it.
func (a Answer) String() string {
	switch a {
	case AnswerNone:
		return "none"
	case AnswerCount:
		return "count"
	case AnswerMember:
		return "member"
	case AnswerMembership:
		return "membership"
	case AnswerInternal:
		return "internal"
	case AnswerContact:
		return "contact"
	default:
		return "unstated"
	}
}

// Class is a class of callers.
type Class uint8

// ClassInternal is the class of internal platforms.
const ClassInternal Class = 1

// Request is what the gate decides about.
type Request struct {
	// Method is the full name of the method asked for.
	Method string
	// Answer is the kind of its answer.
	Answer Answer
	// Class is the caller's class.
	Class Class
	// Entitled says that the caller has shown to be entitled to contact data.
	Entitled bool
}

// Audit is told of every answer that reveals something about people: err is nil if it was given.
type Audit func(ctx context.Context, r Request, err error)

// ReasonDenied is the reason of the gate's refusals.
const ReasonDenied = "GATE_DENIED"

// Gate decides. It is safe for concurrent use.
type Gate struct{ audit Audit }

// New makes a gate; a nil audit is told nothing.
func New(audit Audit) *Gate { return &Gate{audit: audit} }

// Decide says whether the answer may be given: nil, or a Denied fault. Contact data is for those who are entitled alone.
func (g *Gate) Decide(_ context.Context, r Request) error {
	if r.Answer == AnswerUnstated || r.Answer > AnswerContact || r.Class != ClassInternal {
		return fault.New(fault.Denied, ReasonDenied, "the caller may not see answers of this method").With("method", r.Method)
	}
	if r.Answer == AnswerContact && !r.Entitled {
		return fault.New(fault.Denied, ReasonDenied, "contact data is for entitled callers alone; send the token that the operator has set for exports").
			With("method", r.Method)
	}
	return nil
}

// Record tells the audit what became of a call.
func (g *Gate) Record(ctx context.Context, r Request, err error) {
	if g.audit != nil && r.Answer != AnswerNone {
		g.audit(ctx, r, err)
	}
}
