package blocks

import (
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Definitions are what questions can be asked, at one position. They are immutable once shared and travel whole.
type Definitions struct {
	// Attributes are the declared (custom) attributes, sorted by name; built-in ones are not listed.
	Attributes []audience.Attribute
	// Segments are sorted by uid.
	Segments []SegmentDefinition
	// Currency is the store's currency (ISO 4217); Zone the IANA name of the zone in which its days turn.
	Currency string
	Zone     string
	// Days, since 1970-01-01 and ascending, for which rows of date-relative segments are kept.
	Days []int64
}

// SegmentState is how far a segment can be asked for.
type SegmentState uint8

// The states of a segment.
const (
	// SegmentBuilding: new, no rows yet; a question about it is answered UNAVAILABLE with the progress.
	SegmentBuilding SegmentState = iota + 1
	// SegmentRebuilding: the rule state named here answers while a newer one is built.
	SegmentRebuilding
	// SegmentActive: its newest definition answers.
	SegmentActive
)

// SegmentDefinition is one segment.
type SegmentDefinition struct {
	UID string
	// Name is the resource name; Owner that of the resource that owns the segment, or "".
	Name  string
	Owner string
	// Version is the version of the segment's own definition that answers.
	Version uint64
	// RuleState is the definition revision of the rule state that answers: with UID it names the rows. 0: none does yet.
	RuleState uint64
	// Pending says that a newer definition is being built; Progress is the share of blocks that have it, in percent.
	Pending  bool
	Progress int
	// DateRelative says that the rule, or one it refers to, looks at the date: the rows are named by their day too.
	DateRelative bool
	// Rule is the text of the rule that answers; empty for a static list.
	Rule string
}

// State returns how far the segment can be asked for.
func (s *SegmentDefinition) State() SegmentState {
	switch {
	case s.RuleState == 0:
		return SegmentBuilding
	case s.Pending:
		return SegmentRebuilding
	}
	return SegmentActive
}

// Field names the row of the segment's members on a day (which only matters for a date-relative rule).
func (s *SegmentDefinition) Field(day int64) audience.Field {
	if s.DateRelative {
		return audience.SegmentDayField(s.UID, s.RuleState, day)
	}
	return audience.SegmentField(s.UID, s.RuleState)
}

// BlockState is what a frame says of one block.
type BlockState struct {
	Block   uint32
	Epoch   Epoch
	Version uint64
	// Base is the version of the same epoch that Entries and Lost are a change of. 0: Entries are the whole directory.
	// Base == Version, without entries, names the version alone: who does not hold that directory reads it from the store.
	// Version 0 announces a block that exists and has not been written in this epoch: it is unknown until it is.
	Base uint64
	// Defs and Pending are the directory's, always whole.
	Defs    Position
	Pending []audience.Field
	// Entries gained or changed, and fields lost; sorted by field.
	Entries []Listed
	Lost    []audience.Field
}

// apply returns the directory that the state makes of the one held (nil: none), or nil if it has to be read from the store.
func (s *BlockState) apply(held *Directory, store string, layout uint32) *Directory {
	if held != nil && held.Epoch == s.Epoch && held.Version >= s.Version {
		return held // read from the store in the meantime
	}
	d := &Directory{Store: store, Layout: layout, Block: s.Block, Epoch: s.Epoch, Version: s.Version, Defs: s.Defs, Pending: s.Pending}
	switch {
	case s.Base == s.Version:
		return nil
	case s.Base == 0:
		d.Entries = s.Entries
	case held != nil && held.Epoch == s.Epoch && held.Version == s.Base:
		d.Entries = merge(held.Entries, s.Entries, s.Lost)
	default:
		return nil
	}
	return d
}

func (s *BlockState) check() error {
	if s.Base > s.Version || s.Base == s.Version && len(s.Entries)+len(s.Lost) > 0 {
		return fmt.Errorf("block %d: version %d on base %d: %w", s.Block, s.Version, s.Base, errCorrupt)
	}
	d := Directory{Store: "x", Pending: s.Pending, Entries: s.Entries}
	if err := d.check(); err != nil {
		return fmt.Errorf("block %d: %w", s.Block, err)
	}
	if !increasing(s.Lost, func(f audience.Field) audience.Field { return f }) {
		return fmt.Errorf("block %d: lost fields out of order: %w", s.Block, errCorrupt)
	}
	return nil
}

// Frame is one step of the manifest. It is applied whole or not at all; a wire may carry it in several messages.
type Frame struct {
	// Full says that the frame is the whole manifest: what the reader had is void. The first frame of a stream is full.
	Full bool
	// Store, Layout and Format say where the blocks are. They change only with a full frame.
	Store  string
	Layout uint32
	Format uint32
	// Definitions are the new ones; nil: unchanged. A full frame has them.
	Definitions *Definitions
	// Blocks are the changed blocks (all, in a full frame), sorted by block, each once.
	Blocks  []BlockState
	Through Through
}

// check refuses a frame that no publisher makes, before any of it is applied.
func (f *Frame) check() error {
	if f.Format != Format {
		return fmt.Errorf("blocks of format %d, this program reads %d", f.Format, Format)
	}
	if f.Store == "" || len(f.Store) > maxStoreBytes {
		return fmt.Errorf("store id of %d bytes: %w", len(f.Store), errCorrupt)
	}
	if f.Full && f.Definitions == nil {
		return fmt.Errorf("a full frame without definitions: %w", errCorrupt)
	}
	for i := range f.Blocks {
		if i > 0 && f.Blocks[i-1].Block >= f.Blocks[i].Block {
			return fmt.Errorf("blocks out of order: %w", errCorrupt)
		}
		if err := f.Blocks[i].check(); err != nil {
			return err
		}
	}
	return nil
}
