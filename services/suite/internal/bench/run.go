package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Run makes a population, loads it, and measures. The report is there too where an answer was wrong, which is an error (ReasonWrong).
func Run(ctx context.Context, opts Options) (report *Report, err error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	begun := opts.Now()
	w, err := open(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	report = describe(ctx, opts, begun)
	counted := time.Now()
	w.truth = w.crowd.count(dayOf(begun))
	opts.say("the answers for %d people, counted in %.1f s", opts.People, time.Since(counted).Seconds())
	if err := w.start(ctx); err != nil {
		return nil, fmt.Errorf("start the suite: %w", err)
	}
	if report.Load, err = w.load(ctx); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if err := w.figures(ctx, report); err != nil {
		return nil, err
	}
	report.Seconds = opts.Now().Sub(begun).Seconds()
	return report, wrongAnswers(report.Figures)
}

// figures measures everything that is asked for.
func (w *world) figures(ctx context.Context, report *Report) (err error) {
	candidates := w.crowd.candidates(w.truth.on, 64)
	if w.opts.wants(nameChange) {
		if len(candidates) == 0 {
			return fault.New(fault.Invalid, ReasonOptions, "so few people live in "+midRegion+" that nobody can be changed; give more people")
		}
		if err := w.heal(ctx, candidates); err != nil {
			return err
		}
	}
	all := w.verifySegments(ctx)
	if err := w.take(ctx, all, true); err != nil {
		return err
	}
	ops := w.ops()
	y, err := w.newYardsticks(ctx, w.truth.total(nameQ4))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, y.close()) }()
	if w.opts.wants(nameChange) {
		ops = append(ops, w.changing(candidates))
	}
	ops = append(ops, y.ops...)
	collect()
	before := cpuNow()
	if err := w.measure(ctx, ops); err != nil {
		return err
	}
	report.GCShare = gcShare(before, cpuNow())

	rare := []*op{all}
	if report.Sizes, err = w.sizes(ctx); err != nil {
		return fmt.Errorf("weigh: %w", err)
	}
	if w.opts.wants(nameQ8) && w.opts.Load > 0 {
		w.opts.say("look-ups in an open loop, for %s", w.opts.Load)
		o, err := w.openLoop(ctx)
		if err != nil {
			return fmt.Errorf("look-ups in an open loop: %w", err)
		}
		rare = append(rare, o)
	}
	if w.opts.wants(nameChange) && w.opts.Load > 0 {
		w.opts.say("changes under load, for %s", w.opts.Load)
		o := w.changing(candidates)
		o.name = nameChange + " under load"
		if report.Load.ChangesPerSecond, err = w.underLoad(ctx, o); err != nil {
			return fmt.Errorf("changes under load: %w", err)
		}
		rare = append(rare, o)
		if err := w.caughtUp(ctx); err != nil {
			return err
		}
	}
	if w.opts.wants(nameCold) {
		o, err := w.cold(ctx)
		if err != nil {
			return err
		}
		rare = append(rare, o)
	}
	if w.opts.wants(nameRestart) {
		w.opts.say("restarting")
		o, err := w.restart(ctx)
		if err != nil {
			return fmt.Errorf("restart: %w", err)
		}
		rare = append(rare, o)
	}
	if w.opts.wants(nameCrash) && w.opts.Program != "" {
		w.opts.say("killing a process and starting it again")
		o, err := w.crash(ctx)
		if err != nil {
			return fmt.Errorf("crash: %w", err)
		}
		rare = append(rare, o)
	}
	empty := time.Duration(y.empty.figure(0).P50)
	for _, o := range ops {
		report.Figures = append(report.Figures, o.figure(empty))
	}
	for _, o := range rare { // not taken in turns with the empty call: no ratio
		report.Figures = append(report.Figures, o.figure(0))
	}
	report.order()
	return nil
}

// passing reports whether an error goes away by itself: the index is being built, or read again.
func passing(err error) bool {
	k := fault.KindOf(err)
	return k == fault.Unavailable || k == fault.Deadline
}
