package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Paths by which a figure is taken.
const (
	// PathGRPC is over TCP on the loopback interface, through all interceptors.
	PathGRPC = "grpc"
	// PathInside is the service's own code, called as a function.
	PathInside = "in process"
	// PathLocal is work of the bench's own, for comparison.
	PathLocal = "yardstick"
)

// Figure is one line of the result. Times are in nanoseconds.
type Figure struct {
	Name  string `json:"name"`
	Path  string `json:"path"`
	About string `json:"about"`
	// Rounds is how often it was taken.
	Rounds int   `json:"rounds"`
	P50    int64 `json:"p50_ns,omitempty"`
	P99    int64 `json:"p99_ns,omitempty"`
	Min    int64 `json:"min_ns,omitempty"`
	// Cardinality is what was answered, OK whether it always was what the people give. Checked says that there was something to check.
	Cardinality int64 `json:"cardinality"`
	Checked     bool  `json:"checked"`
	OK          bool  `json:"ok"`
	// Ratio is P50 by that of the empty call, of figures over gRPC.
	Ratio float64 `json:"ratio_to_empty_call,omitempty"`
	// PerSecond is how many of Unit pass in a second at P50.
	PerSecond float64 `json:"per_second,omitempty"`
	Unit      string  `json:"unit,omitempty"`
	Note      string  `json:"note,omitempty"`
}

// check compares an answer with the truth, outside of the time that is measured.
type check func(*truth) (cardinality int64, ok bool)

// op is something whose time is taken.
type op struct {
	name, path, about, unit, note string
	// unchecked says that there is no cardinality to compare.
	unchecked bool
	// least is how often it is done in a turn, whatever it takes; 0: once.
	least int
	do    func(ctx context.Context) (check, error)
	// after puts things back, beyond the time that is measured; nil: nothing to do.
	after func(ctx context.Context) error

	times []time.Duration
	last  int64
	wrong string
}

// warm is how often in a turn what takes long is done at least: between two turns so much else is read that the first time of each finds
// nothing where it left it.
const warm = 5

// mostTimes bounds how often a cheap op is repeated in a turn.
const mostTimes = 200

// measure gives every op its turn, round after round, and checks every answer.
func (w *world) measure(ctx context.Context, ops []*op) error {
	for _, o := range ops { // the first answer of each warms what is cold, and is checked too
		if err := w.take(ctx, o, false); err != nil {
			return err
		}
	}
	told := time.Now()
	for round := range w.opts.Rounds {
		for _, o := range ops {
			begun := time.Now()
			for n := 0; n < max(1, o.least) || n < mostTimes && time.Since(begun) < w.opts.Turn; n++ {
				if err := w.take(ctx, o, true); err != nil {
					return err
				}
			}
		}
		if time.Since(told) > 5*time.Second || round+1 == w.opts.Rounds {
			told = time.Now()
			w.opts.say("round %d of %d", round+1, w.opts.Rounds)
		}
	}
	return nil
}

// take takes one time.
func (w *world) take(ctx context.Context, o *op, keep bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begun := time.Now()
	verify, err := o.do(ctx)
	took := time.Since(begun)
	if err != nil {
		return fmt.Errorf("%s %s: %w", o.name, o.path, err)
	}
	if keep {
		o.times = append(o.times, took)
	}
	if o.after != nil {
		if err := o.after(ctx); err != nil {
			return fmt.Errorf("after %s %s: %w", o.name, o.path, err)
		}
	}
	if verify == nil {
		return nil
	}
	n, ok := verify(w.truth)
	if !ok && dayOf(w.opts.Now()) != w.truth.on { // the day has turned: ages have changed
		w.opts.say("the day has turned; counting the people again")
		w.truth = w.crowd.count(dayOf(w.opts.Now()))
		n, ok = verify(w.truth)
	}
	if o.last = n; !ok && o.wrong == "" {
		o.wrong = fmt.Sprintf("answered %d", n)
	}
	return nil
}

// figure sums up what was taken of an op.
func (o *op) figure(empty time.Duration) Figure {
	f := Figure{
		Name: o.name, Path: o.path, About: o.about, Rounds: len(o.times), Cardinality: o.last, Checked: !o.unchecked, OK: o.wrong == "",
		Note: o.note, Unit: o.unit,
	}
	if len(o.times) == 0 {
		return f
	}
	sorted := slices.Sorted(slices.Values(o.times))
	f.P50, f.P99, f.Min = int64(quantile(sorted, .5)), int64(quantile(sorted, .99)), int64(sorted[0])
	if empty > 0 && o.path == PathGRPC {
		f.Ratio = float64(f.P50) / float64(empty)
	}
	if o.unit != "" && f.P50 > 0 {
		f.PerSecond = float64(o.last) / (float64(f.P50) / 1e9)
	}
	return f
}

// quantile is the smallest of the sorted times that the share q of them does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	i := int(q*float64(len(sorted))+.9999999) - 1
	return sorted[max(0, min(i, len(sorted)-1))]
}

// wrongAnswers is the error about figures with wrong cardinalities; nil if there are none.
func wrongAnswers(figures []Figure) error {
	var names []string
	for _, f := range figures {
		if f.Checked && !f.OK {
			names = append(names, f.Name+" "+f.Path)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fault.Newf(fault.Internal, ReasonWrong, "answers differ from what the people give: %v", names)
}

// collect frees what nothing refers to, so that what one step leaves behind is not paid for by the next.
func collect() {
	runtime.GC()
	runtime.GC() // the first one moves pools to their victims, the second frees these
}
