package index

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/uidtable"
	"github.com/narrowcast/narrowcast/services/segment"
	"github.com/narrowcast/narrowcast/services/segment/internal/checkpoint"
)

// state is everything that the index knows of one life of one profile store, under one layout.
type state struct {
	identity  Identity
	zone      *time.Location
	layout    uint32
	writer    *blocks.Writer
	publisher *blocks.Publisher

	attributes map[string]audience.Attribute // declared ones, by name
	schema     *audience.Schema
	declared   uint64 // highest revision at which an attribute was declared: every block represents facts up to it

	blocks []*block             // by number
	fill   []int                // ordinals given out, by block
	places *uidtable.Table      // of the profiles that have not been deleted
	fresh  []segment.OrdinalRun // given out and not yet stored
	blank  []segment.Ordinal    // of profiles deleted since

	read     blocks.Point // the content is that of this position, or newer where changes are replayed
	replayed bool         // the first replay has ended
	live     bool         // a whole manifest was published
	cursor   string       // what the changes after read are watched after; empty until it is known
	between  bool         // compacted changes are coming: some are newer than read
	// files are those of the checkpoint that the blocks came from, newest the cursor of the newest change that they may have.
	files        []checkpoint.File
	newest       string
	keepSegments bool // the rows of segments that came with the blocks are of rules that the segment store has
	reset        bool // the publisher has announced something else before

	segments  map[string]*definition   // by uid
	snapshot  segment.Position         // whose state they are
	rules     []*ruleRow               // rows that every block is to have, lists before rules
	readers   map[audience.Field][]int // rules, as indexes of rules, by the fields that they read; nil: to be made
	marks     []bool                   // by rule, while a block is updated
	spot      spot
	days      []int64 // days that the manifest names
	target    []int64 // days that it is to name
	announced *blocks.Definitions
}

// newState is a state without profiles.
func newState(id Identity, layout uint32) (*state, error) {
	zone, err := time.LoadLocation(id.Zone)
	if err != nil {
		return nil, fmt.Errorf("load the store's time zone: %w", err)
	}
	st := &state{
		identity: id, zone: zone, layout: layout, read: blocks.Point{Incarnation: id.Incarnation},
		attributes: make(map[string]audience.Attribute), places: uidtable.New(0), segments: make(map[string]*definition),
	}
	if st.schema, err = audience.NewSchema(id.Currency, nil); err != nil {
		return nil, fmt.Errorf("make the schema: %w", err)
	}
	return st, nil
}

// begin makes the content ready for a replay of the profile store: from its beginning, with the ordinals of the newest layout of that
// life of the store, or of a new layout; or with from for what came after it.
func (x *Index) begin(ctx context.Context, id Identity, from *state) (err error) {
	st := from
	if st == nil {
		number, err := x.layoutOf(ctx, segment.ProfileStore{Store: id.Store, Incarnation: id.Incarnation})
		if err != nil {
			return err
		}
		if st, err = newState(id, number); err != nil {
			return err
		}
		if err := st.loadOrdinals(ctx, x.store); err != nil {
			return err
		}
	}
	if a, ok := x.assigner.(Arranger); ok {
		a.Reset()
		st.seen(a)
	}
	old := x.st
	if old != nil && old.layout == st.layout && old.identity.Store == id.Store {
		// Versions of blocks go on, and readers keep what they have until the replay has ended.
		st.writer, st.publisher, st.reset = old.writer, old.publisher, true
	} else if err := x.announcer(st); err != nil {
		return err
	}
	x.mu.Lock()
	x.st = st
	x.mu.Unlock()
	if old != nil && old.publisher != st.publisher {
		old.publisher.Close()
		x.published.clear()
	}
	x.moved.Store(true)
	x.log.InfoContext(ctx, "replay begins", "layout", st.layout, "ordinals", st.places.Len(), "from_checkpoint", from != nil)
	return nil
}

// announcer makes the writer and the publisher of a layout.
func (x *Index) announcer(st *state) (err error) {
	st.writer, err = blocks.NewWriter(x.bytes, blocks.WriterConfig{
		Store: st.identity.Store, Layout: st.layout, Epoch: blocks.Epoch(x.lease), Meter: x.meter,
	})
	if err != nil {
		return err
	}
	st.publisher, err = blocks.NewPublisher(blocks.PublisherConfig{Store: st.identity.Store, Layout: st.layout, Now: x.now, Meter: x.meter})
	return err
}

// layoutOf returns the newest layout of a life of a profile store, beginning one if there is none.
func (x *Index) layoutOf(ctx context.Context, of segment.ProfileStore) (uint32, error) {
	layouts, err := x.store.Layouts(ctx)
	if err != nil {
		return 0, fmt.Errorf("read layouts: %w", err)
	}
	if number, ok := newestOf(layouts, of); ok {
		return number, nil
	}
	l, err := x.store.BeginLayout(ctx, x.lease, of)
	if err != nil {
		return 0, fmt.Errorf("begin a layout: %w", err)
	}
	return l.Number, nil
}

// newestOf returns the newest layout of a life of a profile store.
func newestOf(layouts []segment.Layout, of segment.ProfileStore) (number uint32, ok bool) {
	for _, l := range slices.Backward(layouts) {
		if l.Of == of {
			return l.Number, true
		}
	}
	return 0, false
}

// block returns a block by its number, making it and those before it.
func (st *state) block(n uint32) *block {
	for uint32(len(st.blocks)) <= n {
		b := newBlock(uint32(len(st.blocks)))
		// A block without profiles has every segment's row: it is empty.
		for _, r := range st.rules {
			b.segments[r.field] = new(row)
			b.touch(r.field)
		}
		st.blocks = append(st.blocks, b)
		st.fill = append(st.fill, 0)
	}
	return st.blocks[n]
}

// declare takes over the declaration of an attribute.
func (st *state) declare(a audience.Attribute) error {
	was, had := st.attributes[a.Name]
	st.attributes[a.Name] = a
	list := make([]audience.Attribute, 0, len(st.attributes))
	for _, a := range st.attributes {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b audience.Attribute) int { return strings.Compare(a.Name, b.Name) })
	schema, err := audience.NewSchema(st.identity.Currency, list)
	if err != nil {
		delete(st.attributes, a.Name)
		if had {
			st.attributes[a.Name] = was
		}
		return fmt.Errorf("declare an attribute: %w", err)
	}
	st.schema = schema
	if a.Revision > st.declared {
		st.declared = a.Revision
		for _, b := range st.blocks {
			b.defs = true
		}
	}
	return nil
}

// defs is the position up to which every block has all facts and segments.
func (st *state) defs() blocks.Position {
	return blocks.Position{Revision: st.declared, Definition: st.snapshot.Revision}
}

// today returns the day on which a moment falls in the store's zone.
func (st *state) today(now time.Time) int64 {
	y, m, d := now.In(st.zone).Date()
	return audience.DayOf(int64(y), int64(m), int64(d))
}
