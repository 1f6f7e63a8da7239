package worldtest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// Logger is a test's own log, of what services warn of. A service that logs an error fails the test: a fault from outside is no
// error of the suite's, and what is one (a row that differs from its rule, found by the audit; a panic) must not pass unseen because
// no question met it.
func Logger(t testing.TB) *slog.Logger { return slog.New(strict{testkit.Logger(t).Handler(), t}) }

type strict struct {
	slog.Handler
	t testing.TB
}

// Enabled reports whether a level is logged.
func (strict) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle logs a record, and fails the test for an error.
func (h strict) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		h.t.Errorf("a service logged the error %q; see the log", r.Message)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the strictness.
func (h strict) WithAttrs(a []slog.Attr) slog.Handler { return strict{h.Handler.WithAttrs(a), h.t} }

// WithGroup keeps the strictness.
func (h strict) WithGroup(name string) slog.Handler { return strict{h.Handler.WithGroup(name), h.t} }
