package bench

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Where the services keep what they know.
const (
	// StoreEmbedded is one process on SQLite, with blocks in its memory.
	StoreEmbedded = "embedded"
	// StoreServers is PostgreSQL and Redis.
	StoreServers = "servers"
)

// Reasons of this package's faults.
const (
	// ReasonOptions is Invalid: the options make no sense.
	ReasonOptions = "BENCH_OPTIONS"
	// ReasonOtherData is Precondition: the folder holds the data of another run.
	ReasonOtherData = "BENCH_OTHER_DATA"
	// ReasonNoServer is Precondition: the programs of a server are not there.
	ReasonNoServer = "BENCH_NO_SERVER"
	// ReasonWrong is Internal: an answer had another cardinality than the people give.
	ReasonWrong = "BENCH_WRONG_ANSWER"
)

// Options of a run. Zero values are the defaults that are named.
type Options struct {
	// People is how many there are, 1,000 or more; 200,000.
	People int
	// Seed makes other people.
	Seed uint64
	// Layout is LayoutSorted (the default) or LayoutShuffled.
	Layout string
	// Store is StoreEmbedded (the default) or StoreServers. Database and Redis are the addresses of servers that hold nothing, or
	// what an earlier run with the same Keep left there; without them, private ones are started.
	Store           string
	Database, Redis config.Secret
	// Only names the figures to take; none: all. Those of Yardsticks are always taken.
	Only []string
	// Rounds is how often each figure has its turn; 20.
	Rounds int
	// Turn is how long cheap questions are repeated within a turn; 20 ms.
	Turn time.Duration
	// Keep is a folder for the data, which a later run with the same people finds loaded; "": a temporary one.
	Keep string
	// Load is how long changes are written steadily for the figure of changes under load; 5 s. Rate is how many a second; 1,000.
	Load time.Duration
	Rate int
	// ReaderBytes is the budget of the reader's memory; 0: 100 for each of the people, and 256 MiB at least.
	ReaderBytes int64
	// Program is the path of the narrowcast program, which is started as a process of its own, killed, and started again; "": the
	// figure of a crash is left out.
	Program string
	// Version is the program's.
	Version string
	// Progress hears what is going on; nil hears nothing.
	Progress io.Writer
	// Logger is the services'; nil discards.
	Logger *slog.Logger
	Now    func() time.Time
}

// complete fills in defaults and refuses what makes no sense.
func (o *Options) complete() error {
	o.People, o.Rounds, o.Rate = cmp.Or(o.People, 200_000), cmp.Or(o.Rounds, 20), cmp.Or(o.Rate, 1000)
	o.Layout, o.Store = cmp.Or(o.Layout, LayoutSorted), cmp.Or(o.Store, StoreEmbedded)
	o.Turn, o.Load = cmp.Or(o.Turn, 20*time.Millisecond), cmp.Or(o.Load, 5*time.Second)
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	wrong := &fault.Violations{}
	if o.People < 1000 || o.People > 1<<31-1 {
		wrong.Add("people", ReasonOptions, "give 1,000 to 2,147,483,647")
	}
	if o.Layout != LayoutSorted && o.Layout != LayoutShuffled {
		wrong.Add("layout", ReasonOptions, "give "+LayoutSorted+" or "+LayoutShuffled)
	}
	if o.Store != StoreEmbedded && o.Store != StoreServers {
		wrong.Add("store", ReasonOptions, "give "+StoreEmbedded+" or "+StoreServers)
	}
	if o.Store == StoreEmbedded && (!o.Database.IsZero() || !o.Redis.IsZero()) {
		wrong.Add("store", ReasonOptions, "a database or Redis is used with "+StoreServers+" only; say so, or leave the address out")
	}
	if o.Rounds < 1 {
		wrong.Add("rounds", ReasonOptions, "give one or more")
	}
	if o.Turn < 0 || o.Load < 0 || o.Rate < 0 || o.ReaderBytes < 0 {
		wrong.Add("turn", ReasonOptions, "times, rates and sizes are not negative")
	}
	for i, name := range o.Only {
		if !slices.Contains(Names(), name) {
			wrong.Add(fault.Index("only", i), ReasonOptions, "there is no such figure; give some of "+strings.Join(Names(), ", "))
		}
	}
	return wrong.Err()
}

// wants reports whether a figure is asked for.
func (o *Options) wants(name string) bool {
	return len(o.Only) == 0 || slices.ContainsFunc(o.Only, func(only string) bool { return name == only || strings.HasPrefix(name, only+" ") })
}

// readerBytes is the budget of the reader's memory.
func (o *Options) readerBytes() int64 {
	return cmp.Or(o.ReaderBytes, max(256<<20, 100*int64(o.People)))
}

// say tells what is going on.
func (o *Options) say(format string, args ...any) {
	fmt.Fprintf(o.Progress, "bench: "+format+"\n", args...)
}
