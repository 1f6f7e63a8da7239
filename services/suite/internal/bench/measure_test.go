package bench

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

func TestQuantiles(t *testing.T) {
	var sorted []time.Duration
	for i := range 200 {
		sorted = append(sorted, time.Duration(i+1))
	}
	for _, c := range []struct {
		of   []time.Duration
		q    float64
		want time.Duration
	}{{sorted, .5, 100}, {sorted, .99, 198}, {sorted, 1, 200}, {sorted[:1], .99, 1}, {sorted[:2], .5, 1}, {sorted[:3], .5, 2}} {
		if got := quantile(c.of, c.q); got != c.want {
			t.Errorf("quantile %v of %d: %d, want %d", c.q, len(c.of), got, c.want)
		}
	}
}

func TestAWrongAnswerFailsTheRun(t *testing.T) {
	opts := Options{Rounds: 3, Now: func() time.Time { return time.Unix(0, 0) }}
	if err := opts.complete(); err != nil {
		t.Fatal(err)
	}
	w := &world{opts: opts, crowd: newCrowd(1, 1000, LayoutSorted)}
	w.truth = w.crowd.count(dayOf(opts.Now()))
	asked := 0
	once := &op{name: "Q1", path: PathGRPC, do: func(context.Context) (check, error) {
		asked++
		n := int64(asked)
		return func(*truth) (int64, bool) { return n, n != 2 }, nil // wrong once, right again later
	}}
	right := &op{name: "Q2", path: PathGRPC, do: func(context.Context) (check, error) {
		return func(t *truth) (int64, bool) { return t.total(nameQ4), true }, nil
	}}
	if err := w.measure(t.Context(), []*op{once, right}); err != nil {
		t.Fatal(err)
	}
	figures := []Figure{once.figure(0), right.figure(0)}
	err := wrongAnswers(figures)
	if fault.ReasonOf(err) != ReasonWrong || !strings.Contains(err.Error(), "[Q1 grpc]") {
		t.Errorf("told as %v", err)
	}
	if figures[0].cells()[9] != "WRONG" || figures[1].cells()[9] != "ok" {
		t.Errorf("the table says %q and %q", figures[0].cells(), figures[1].cells())
	}
	if err := wrongAnswers(figures[1:]); err != nil {
		t.Errorf("right answers: %v", err)
	}

	failure := errors.New("no answer")
	bad := &op{name: "Q4", do: func(context.Context) (check, error) { return nil, failure }}
	if err := w.measure(t.Context(), []*op{bad}); !errors.Is(err, failure) {
		t.Errorf("an error became %v", err)
	}
}

func TestTheDayTurnsWhileItRuns(t *testing.T) {
	now := time.Date(2026, 6, 30, 23, 59, 0, 0, time.UTC)
	w := &world{opts: Options{Now: func() time.Time { return now }, Progress: t.Output()}, crowd: newCrowd(1, 100_000, LayoutSorted)}
	w.truth = w.crowd.count(dayOf(now))
	before := w.truth.narrowing[nameCountry][2]
	after := w.crowd.count(dayOf(now.Add(time.Hour))).narrowing[nameCountry][2]
	if before == after {
		t.Fatal("nobody has a birthday")
	}
	now = now.Add(time.Hour)
	o := &op{name: "age", do: func(context.Context) (check, error) {
		return func(t *truth) (int64, bool) { return after, t.narrowing[nameCountry][2] == after }, nil
	}}
	if err := w.take(t.Context(), o, true); err != nil || o.wrong != "" || w.truth.on != dayOf(now) {
		t.Errorf("%v, %q, counted for %v", err, o.wrong, w.truth.on)
	}
}
