package blocks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// ReaderConfig says what a Reader answers from.
type ReaderConfig struct {
	Store    Store
	Follower *Follower
	Refiller Refiller
	// MemoryBytes bounds the decoded rows and columns that are kept; 0: 256 MiB.
	MemoryBytes int64
	// DictionaryBytes bounds the parts of the uid dictionary that are kept, apart from MemoryBytes; 0: 256 MiB.
	DictionaryBytes int64
	// Staleness is the age beyond which an answer is refused, unless its caller chose another bound; 0: 5 s.
	Staleness time.Duration
	// Parallelism is how many blocks of one answer are evaluated at a time; 0: GOMAXPROCS.
	Parallelism int
	// MaxWait bounds every wait (for a position, for a block that is written again) where the context has no earlier deadline;
	// 0: 10 s.
	MaxWait time.Duration
	// Now is the clock; its monotonic part is used. Nil: time.Now.
	Now func() time.Time
	// Logger and Meter may be nil.
	Logger *slog.Logger
	Meter  metric.Meter
}

// Reader answers from blocks. It is safe for concurrent use.
type Reader struct {
	cfg     ReaderConfig
	log     *slog.Logger
	memory  *memory // of rows and columns
	uids    *memory
	locator *locator
	refills *refills

	fields  metric.Int64Counter
	unknown metric.Int64Counter
}

// NewReader returns a reader. It owns neither the store nor the follower.
func NewReader(cfg ReaderConfig) (*Reader, error) {
	if cfg.Store == nil || cfg.Follower == nil || cfg.Refiller == nil {
		return nil, errors.New("new block reader: store, follower and refiller are needed")
	}
	cfg.MemoryBytes = cmp.Or(cfg.MemoryBytes, 256<<20)
	cfg.DictionaryBytes = cmp.Or(cfg.DictionaryBytes, 256<<20)
	cfg.Staleness = cmp.Or(cfg.Staleness, 5*time.Second)
	cfg.Parallelism = cmp.Or(cfg.Parallelism, runtime.GOMAXPROCS(0))
	cfg.MaxWait = cmp.Or(cfg.MaxWait, 10*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Reader{cfg: cfg, memory: newMemory(cfg.MemoryBytes), uids: newMemory(cfg.DictionaryBytes), locator: newLocator(), log: cfg.Logger}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.log = r.log.With("component", "blocks.reader")
	meter := cmp.Or[metric.Meter](cfg.Meter, noop.Meter{})
	var errs [4]error
	r.fields, errs[0] = meter.Int64Counter(metricFields, metric.WithDescription("rows, columns and dictionary parts used, by where they came from"))
	r.unknown, errs[1] = meter.Int64Counter(metricUnknown, metric.WithDescription("blocks found unknown, by cause"))
	refilled, err := meter.Int64Counter(metricRefills, metric.WithDescription("refills asked for, by outcome"))
	errs[2] = err
	_, errs[3] = meter.Int64ObservableGauge(metricMemory, metric.WithUnit("By"), metric.WithDescription("bytes of decoded fields in memory"),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(r.memory.bytes(), heldRows)
			o.Observe(r.uids.bytes(), heldUIDs)
			o.Observe(r.locator.bytes(), heldPlaces)
			return nil
		}))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("new block reader: %w", err)
	}
	r.refills = newRefills(cfg.Refiller, 3*cfg.MaxWait, refilled)
	return r, nil
}

// memoryOf returns the memory that keeps a field.
func (r *Reader) memoryOf(f *planField) *memory {
	if f.chunk {
		return r.uids
	}
	return r.memory
}

// Close ends refills under way and waits for them. Sessions that need one fail afterwards.
func (r *Reader) Close() { r.refills.close() }

// Consistency is how fresh an answer has to be.
type Consistency struct {
	kind       consistencyKind
	at         Position
	head       func(context.Context) (Position, error)
	staleness  time.Duration
	allowStale bool
}

type consistencyKind uint8

const (
	minimizeLatency consistencyKind = iota
	atLeast
	fullyConsistent
	boundedStaleness
)

// MinimizeLatency answers from the newest view at once.
func MinimizeLatency() Consistency { return Consistency{} }

// AtLeast waits until the view reaches a position, such as that of a consistency token.
func AtLeast(p Position) Consistency { return Consistency{kind: atLeast, at: p} }

// FullyConsistent asks for the newest position first and waits until the view reaches it. A part that head leaves at 0 is not
// waited for.
func FullyConsistent(head func(context.Context) (Position, error)) Consistency {
	return Consistency{kind: fullyConsistent, head: head}
}

// BoundedStaleness answers from a view that is at most d old; if the newest is older, it waits shortly for a newer one.
func BoundedStaleness(d time.Duration) Consistency {
	return Consistency{kind: boundedStaleness, staleness: d}
}

// AllowStale returns a copy that also accepts a view older than the staleness bound. The answer says its age.
func (c Consistency) AllowStale() Consistency {
	c.allowStale = true
	return c
}

// freshWait bounds how long a request with a bound of its own waits for a younger view: two numbers of the follower.
const freshWait = time.Second

// Begin pins the view that an answer is made under.
//
// Errors: ErrNotReady, ErrStale, ErrTokenNotReached (at the context's deadline, or a little before it so that the caller still
// hears of it), the error of head, or the context's.
func (r *Reader) Begin(ctx context.Context, c Consistency) (*Session, error) {
	bound := r.cfg.Staleness
	f := r.cfg.Follower
	v := f.View()
	at := c.at
	if c.kind == minimizeLatency {
		// Nothing is waited for, so nothing bounds the wait.
		if v == nil {
			return nil, ErrNotReady
		}
		return r.session(v, c, bound, new(counters))
	}
	soon, done := early(ctx)
	defer done()
	bounded, cancel := context.WithTimeout(soon, r.cfg.MaxWait)
	defer cancel()
	switch c.kind {
	case fullyConsistent:
		var err error
		if at, err = c.head(bounded); err != nil {
			return nil, fmt.Errorf("ask for the newest position: %w", err)
		}
		fallthrough
	case atLeast:
		var err error
		if v, err = f.Wait(bounded, at); err != nil {
			return nil, ended(ctx, ErrTokenNotReached.With("position", at), err)
		}
	case boundedStaleness:
		bound = c.staleness
		if v == nil || c.allowStale {
			break
		}
		wait, cancel := context.WithTimeout(bounded, freshWait)
		defer cancel()
		young, err := f.await(wait, func(v *View) bool { return v.Age(r.cfg.Now()) <= bound })
		if err != nil && ctx.Err() != nil {
			return nil, ended(ctx, ErrStale, err)
		}
		if err == nil {
			v = young
		}
	}
	if v == nil {
		return nil, ErrNotReady
	}
	return r.session(v, c, bound, new(counters))
}

func (r *Reader) session(v *View, c Consistency, bound time.Duration, n *counters) (*Session, error) {
	age := v.Age(r.cfg.Now())
	if age > bound && !c.allowStale {
		return nil, ErrStale.With("age", age.Round(time.Millisecond)).With("bound", bound)
	}
	return &Session{r: r, view: v, age: age, consistency: c, bound: bound, counters: n}, nil
}

// answerTries bounds how often an answer is begun again: definitions do not change that often.
const answerTries = 5

// Answer begins a session and runs answer with it. Where a definition, or the layout, was replaced in the middle, it begins again
// with a new session, a bounded number of times; answer must then forget what it had. Errors: those of Begin and of answer.
func (r *Reader) Answer(ctx context.Context, c Consistency, answer func(*Session) error) error {
	for try := 1; ; try++ {
		s, err := r.Begin(ctx, c)
		if err != nil {
			return err
		}
		err = answer(s)
		if try < answerTries && (errors.Is(err, ErrDefinitionsMoved) || errors.Is(err, ErrLayoutGone)) {
			continue
		}
		return err
	}
}

// early returns a context that ends a little before ctx's deadline (a tenth of the time left, at most 100 ms), so that the caller
// still hears why.
func early(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	left := time.Until(deadline)
	return context.WithTimeout(ctx, left-min(left/10, 100*time.Millisecond))
}

// ended is the error of a wait that came to its end: the caller's own where the caller went away, else the fault.
func ended(caller context.Context, f *fault.Error, err error) error {
	if errors.Is(caller.Err(), context.Canceled) {
		return caller.Err()
	}
	return f.Wrap(err)
}
