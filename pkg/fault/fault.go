package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Error is a failure that a caller can understand. Build one with [New] or a builder named after its kind, then refine it with
// the methods below, each of which returns a changed copy: an Error may therefore be kept in a package variable and shared.
type Error struct {
	// Kind is what the caller can do about it.
	Kind Kind
	// Reason is a stable UPPER_SNAKE name, at most 63 characters, without a package prefix: "ETAG_MISMATCH".
	Reason string
	// Message is for people: what is wrong and what to do next. Every variable in it is repeated in Metadata.
	Message string
	// Metadata holds the variables of the message by lowerCamel or snake_case name. No personal data.
	Metadata map[string]string
	// Violations are the fields of the request that are wrong, when the kind is Invalid or OutOfRange.
	Violations []Violation
	// Preconditions are the states that stood in the way, when the kind is Precondition.
	Preconditions []Unmet
	// RetryAfter is how long to wait before the same request may succeed; zero says nothing about it.
	RetryAfter time.Duration

	cause error
}

// Violation is one wrong field of a request.
type Violation struct {
	// Field is the path from the request: "profile.consents[2].expire_time". Empty means the request as a whole.
	Field string
	// Description says what is wrong and what would be right.
	Description string
	// Reason is a stable UPPER_SNAKE name, or empty where the error's own reason says it all.
	Reason string
}

// Unmet is one state that a request needed and did not find.
type Unmet struct {
	// Type is a stable UPPER_SNAKE class of precondition: "SEGMENT_IN_USE".
	Type string
	// Subject is the resource name it concerns: "segments/young".
	Subject string
	// Description says how to bring the state about.
	Description string
}

// New returns a fault of the given kind.
func New(kind Kind, reason, message string) *Error {
	return &Error{Kind: kind, Reason: reason, Message: message}
}

// Newf is [New] with a formatted message. It does not wrap: pass a cause to Wrap.
func Newf(kind Kind, reason, format string, args ...any) *Error {
	return New(kind, reason, fmt.Sprintf(format, args...))
}

// InvalidField returns an Invalid fault about one field; message is both the error's message and the violation's description.
// For several fields collect them in [Violations].
func InvalidField(reason, field, message string) *Error {
	return &Error{
		Kind: Invalid, Reason: reason, Message: message,
		Violations: []Violation{{Field: field, Description: message, Reason: reason}},
	}
}

// Error returns the reason, the message and the cause, for logs. What leaves the process is Message alone.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Message == "" {
		b.WriteString(e.Kind.String())
	}
	if e.Reason != "" {
		b.WriteString(" (")
		b.WriteString(e.Reason)
		b.WriteString(")")
	}
	// One violation usually repeats the message; several are what the message cannot say.
	if len(e.Violations) > 1 || len(e.Violations) == 1 && e.Violations[0].Description != e.Message {
		for i, v := range e.Violations {
			b.WriteString([]string{": ", "; "}[min(i, 1)])
			b.WriteString(v.String())
		}
	} else if len(e.Violations) == 1 && e.Violations[0].Field != "" {
		b.WriteString(" at ")
		b.WriteString(e.Violations[0].Field)
	}
	if e.cause != nil {
		b.WriteString(": ")
		b.WriteString(e.cause.Error())
	}
	return b.String()
}

// String returns "field: description".
func (v Violation) String() string {
	if v.Field == "" {
		return v.Description
	}
	return v.Field + ": " + v.Description
}

// Unwrap returns the cause given to Wrap, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is a fault with the same kind and reason, so that a fault in a package variable works as a
// sentinel of errors.Is whatever metadata and cause were added to the copy at hand.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Reason == e.Reason
}

// With returns a copy whose metadata also holds key and the printed value.
func (e *Error) With(key string, value any) *Error {
	c := e.clone()
	if c.Metadata == nil {
		c.Metadata = make(map[string]string, 1)
	}
	c.Metadata[key] = fmt.Sprint(value)
	return c
}

// Wrap returns a copy caused by err. The cause is for logs and errors.Is; it never leaves the process.
func (e *Error) Wrap(err error) *Error {
	c := e.clone()
	c.cause = err
	return c
}

// Retry returns a copy that invites the caller to repeat the request after d; d below zero counts as zero.
func (e *Error) Retry(d time.Duration) *Error {
	c := e.clone()
	c.RetryAfter = max(d, 0)
	return c
}

// At returns a copy with one more field violation, described by the message of the error itself.
func (e *Error) At(field string) *Error {
	c := e.clone()
	c.Violations = append(c.Violations, Violation{Field: field, Description: e.Message, Reason: e.Reason})
	return c
}

// Unmet returns a copy with one more precondition that did not hold.
func (e *Error) Unmet(typ, subject, description string) *Error {
	c := e.clone()
	c.Preconditions = append(c.Preconditions, Unmet{Type: typ, Subject: subject, Description: description})
	return c
}

// Under returns a copy whose field paths are nested below prefix: "birth_date" under "profiles[3]" is
// "profiles[3].birth_date". An empty field becomes the prefix itself.
func (e *Error) Under(prefix string) *Error {
	c := e.clone()
	for i := range c.Violations {
		c.Violations[i].Field = Join(prefix, c.Violations[i].Field)
	}
	return c
}

func (e *Error) clone() *Error {
	c := *e
	c.Metadata = maps.Clone(e.Metadata)
	c.Violations = slices.Clone(e.Violations)
	c.Preconditions = slices.Clone(e.Preconditions)
	return &c
}

// As returns the outermost fault in err's tree, or nil if there is none.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// KindOf returns the kind of the outermost fault in err's tree. A context error is Canceled or Deadline; any other error is
// Internal. It is also Internal for nil, which is not an error: test err first.
func KindOf(err error) Kind {
	if e := As(err); e != nil {
		return e.Kind
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Deadline
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Internal
}

// ReasonOf returns the reason of the outermost fault in err's tree, or "".
func ReasonOf(err error) string {
	if e := As(err); e != nil {
		return e.Reason
	}
	return ""
}

// Is reports whether err is, or wraps, a fault of this kind. It is false for nil.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
