package blocks

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Prepared are fields made ready to be looked up in any block, for questions that are asked again and again. It is immutable and
// good for all views with the same definitions.
type Prepared struct {
	defs *Definitions
	plan *fieldPlan
	// located is the plan with the dictionary, which Locate reads too.
	located func() *fieldPlan
}

// Prepare makes fields ready. The live row is always among them.
func (v *View) Prepare(fields []audience.Field) *Prepared {
	p := &Prepared{defs: v.Definitions, plan: v.plan(Query{Fields: fields})}
	p.located = sync.OnceValue(p.plan.withDictionary)
	return p
}

// Scan is what Session.Scan does with each block.
type Scan struct {
	// Fields are all that Do may ask for.
	Fields *Prepared
	// Look, if set, is called for blocks whose directory is known, from the goroutine that calls Scan. It may ask for cardinalities
	// alone, and what it says must follow from them.
	Look func(b audience.Block) Look
	// Looks, if set, keeps what Look said for the next scan with the same fields and the same Look.
	Looks *Looks
	// Do is called for every block for which that was not enough, in no order and from several goroutines at a time, each with a number below Scanners. at
	// is the block's place among the view's. What b says is of one version of the block. A call that needs what is not in memory
	// fails with audience.ErrUnknown and is repeated, so it must not leave anything behind unless it succeeds.
	Do func(scanner, at int, b audience.Block) error
}

// Bounds of a scan.
const (
	// blocksPerScanner is how many blocks there must be for each goroutine: at a microsecond or more each, about what starting it and
	// waiting for it takes. Of fewer blocks the first are timed: where those that are left will take longer than worthScanners, they
	// are shared out too.
	blocksPerScanner = 12
	worthScanners    = 200 * time.Microsecond
	// portion is how many blocks a goroutine takes at a time, where there are many.
	portion = 4
	// loaders is how many blocks are read from the store at a time: reading is mostly waiting.
	loaders = 16
)

// Scanners returns how many goroutines at most call Do in a scan.
func (s *Session) Scanners() int { return max(s.r.cfg.Parallelism, loaders) }

// Scan goes over all blocks of the view. It looks at each one's directory first, in the caller's goroutine, then evaluates those that
// are left, in memory, and reads only then what was not there: all fields of a block that are missing in one command, under one
// directory. told is the sum of what the looks counted.
//
// Errors: the first of Do, which ends the others' work; those of ForEachBlock.
func (s *Session) Scan(ctx context.Context, sc Scan) (told [2]uint64, err error) {
	if err := ctx.Err(); err != nil {
		return told, gone(ctx, err)
	}
	p := sc.Fields.plan
	if sc.Fields.defs != s.view.Definitions {
		// Another state of the definitions: the names are the same, what their absence means may not be.
		p = s.view.again(p)
		sc.Looks = nil
	}
	work := &scan{Session: s, Scan: sc, ctx: ctx, plan: p}
	work.list = scanLists.Get().(*scanList)
	defer func() {
		work.list.reset()
		scanLists.Put(work.list)
	}()
	if told, err = work.look(); err != nil {
		return told, gone(ctx, err)
	}
	if cold := work.list.cold; len(cold) > 0 && sc.Look != nil {
		// Of most blocks the directory will be enough, and it is a small part of what would be read with it.
		directory := s.view.plan(Query{})
		if err := work.each(cold, func(ctx context.Context, _, at int) error {
			_, err := s.load(ctx, s.view.slots[at], directory)
			return err
		}); err != nil {
			return told, gone(ctx, err)
		}
		if told, err = work.look(); err != nil {
			return told, gone(ctx, err)
		}
	}
	s.counters.skipped.Add(work.skipped)
	s.counters.evaluated.Add(work.evaluated)
	if err := work.evaluate(); err != nil {
		return told, gone(ctx, err)
	}
	return told, gone(ctx, work.load())
}

// again makes a plan's fields ready under this view.
func (v *View) again(p *fieldPlan) *fieldPlan {
	n := &fieldPlan{index: p.index, fields: make([]planField, len(p.fields))}
	for i := range p.fields {
		n.fields[i] = p.fields[i]
		n.fields[i].declared = v.declared(p.fields[i].name)
	}
	return n
}

// scan is one scan under way.
type scan struct {
	*Session
	Scan
	ctx  context.Context
	plan *fieldPlan
	list *scanList
	// skipped and evaluated count the blocks of which the directory was enough.
	skipped, evaluated int64

	portion int
	next    atomic.Int64 // of list.hot
	ended   atomic.Bool
	mu      sync.Mutex
	err     error
}

// scanList is the memory of a scan.
type scanList struct {
	hot    []int32 // places of blocks to evaluate; may be another's
	cold   []int32 // and of those to load first
	b      hot
	looked looked // where nobody keeps it
}

var scanLists = sync.Pool{New: func() any { return new(scanList) }}

func (l *scanList) reset() {
	l.hot, l.cold, l.b = nil, l.cold[:0], hot{}
}

// look asks the directories whether their blocks need to be looked at.
func (w *scan) look() (told [2]uint64, err error) {
	l := w.list
	l.b = hot{ctx: w.ctx, plan: w.plan}
	looked := &l.looked
	if w.Looks == nil {
		err = looked.make(w, nil)
	} else {
		looked, err = w.Looks.of(w)
	}
	if err != nil {
		return told, err
	}
	l.hot, l.cold = looked.hot, append(l.cold[:0], looked.cold...)
	w.skipped, w.evaluated = looked.skipped, looked.evaluated
	return looked.told, nil
}

// evaluate evaluates what may be in memory: here, or by several goroutines where there is enough of it.
func (w *scan) evaluate() error {
	l := w.list
	w.portion = portion
	n := min(w.r.cfg.Parallelism, len(l.hot)/blocksPerScanner)
	if n <= 1 {
		n = 1
		w.portion = 1
		if left := len(l.hot) - 1; left > 1 && w.r.cfg.Parallelism > 1 {
			begun := time.Now()
			w.scanner(0, &l.b, 1)
			if time.Since(begun)*time.Duration(left) > worthScanners {
				n = min(w.r.cfg.Parallelism, left)
			}
		}
	}
	if n == 1 {
		w.scanner(0, &l.b, len(l.hot))
		return w.err
	}
	return w.share(n)
}

// share lets n goroutines, this one among them, evaluate what is left.
func (w *scan) share(n int) error {
	var others sync.WaitGroup
	for i := 1; i < n; i++ {
		others.Go(func() { w.scanner(i, new(hot), len(w.list.hot)) })
	}
	w.scanner(0, &w.list.b, len(w.list.hot))
	others.Wait()
	return w.err
}

// scanner evaluates that many portions of the blocks, or until there are no more.
func (w *scan) scanner(number int, b *hot, portions int) {
	*b = hot{ctx: w.ctx, ended: &w.ended, plan: w.plan}
	evaluated := int64(0)
	defer func() {
		w.counters.evaluated.Add(evaluated)
		w.remembered(b.hits)
	}()
	for range portions {
		end := int(w.next.Add(int64(w.portion)))
		from := end - w.portion
		if from >= len(w.list.hot) {
			return
		}
		for _, at := range w.list.hot[from:min(end, len(w.list.hot))] {
			if err := b.Stopped(); err != nil {
				w.fail(err)
				return
			}
			b.dir, b.missed = w.view.slots[at].dir.Load(), false
			err := w.Do(number, int(at), b)
			switch {
			case err == nil:
				evaluated++
			case b.missed && errors.Is(err, audience.ErrUnknown):
				w.mu.Lock()
				w.list.cold = append(w.list.cold, at)
				w.mu.Unlock()
			default:
				w.fail(err)
				return
			}
		}
	}
}

// fail ends the scan with the first error.
func (w *scan) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	w.ended.Store(true)
}

// load evaluates the blocks that have to be loaded first.
func (w *scan) load() error {
	return w.each(w.list.cold, func(ctx context.Context, number, at int) error {
		b, err := w.Session.load(ctx, w.view.slots[at], w.plan)
		if err != nil {
			return err
		}
		w.counters.evaluated.Add(1)
		return w.Do(number, at, b)
	})
}

// each calls f for blocks by their places, several at a time, each with a number below Scanners.
func (w *scan) each(list []int32, f func(ctx context.Context, number, at int) error) error {
	if len(list) == 0 {
		return nil
	}
	soon, cancel := early(w.ctx)
	defer cancel()
	w.next.Store(0)
	one := func(number int) {
		for {
			i := int(w.next.Add(1)) - 1
			if i >= len(list) || w.ended.Load() {
				return
			}
			if err := f(soon, number, int(list[i])); err != nil {
				w.fail(err)
				cancel()
				return
			}
		}
	}
	var others sync.WaitGroup
	for i := 1; i < min(loaders, len(list)); i++ {
		others.Go(func() { one(i) })
	}
	one(0)
	others.Wait()
	w.next.Store(0)
	return w.err
}
