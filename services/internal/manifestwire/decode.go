package manifestwire

import (
	"errors"
	"fmt"
	"math"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// maxFrameItems bounds what one frame may make its receiver keep before it is complete: blocks, entries, segments and
// attributes, counted together.
const maxFrameItems = 64 << 20

// Decoder puts frames together again. The zero value is ready for the first message of a stream.
type Decoder struct {
	frame *blocks.Frame
	items int
}

// Add takes the next message of a stream and returns the frame that it completes, or nil if more messages follow. After an
// error the stream cannot be used.
func (d *Decoder) Add(m *segmentv1.WatchBlocksResponse) (*blocks.Frame, error) {
	if d.frame == nil {
		d.frame = &blocks.Frame{Full: m.GetWhole(), Store: m.GetStore(), Layout: m.GetLayout(), Format: m.GetFormat()}
		d.items = 0
	} else if m.GetWhole() || m.GetStore() != d.frame.Store || m.GetLayout() != d.frame.Layout || m.GetFormat() != d.frame.Format {
		return nil, errors.New("decode manifest: a frame began before the one before it ended")
	}
	if m.GetDefinitions() != nil {
		if err := d.definitions(m.GetDefinitions()); err != nil {
			return nil, fmt.Errorf("decode manifest: %w", err)
		}
	}
	for _, b := range m.GetBlocks() {
		if err := d.block(b); err != nil {
			return nil, fmt.Errorf("decode manifest: block %d: %w", b.GetBlock(), err)
		}
	}
	if d.items > maxFrameItems {
		return nil, errors.New("decode manifest: a frame does not end")
	}
	through := m.GetThrough()
	if through == nil {
		return nil, nil
	}
	f := d.frame
	var err [2]error
	f.Through.Profiles, err[0] = pointOf(through.GetProfiles())
	f.Through.Definitions, err[1] = pointOf(through.GetDefinitions())
	if err := errors.Join(err[:]...); err != nil {
		return nil, fmt.Errorf("decode manifest: through: %w", err)
	}
	if f.Through.Age = through.GetAge().AsDuration(); f.Through.Age < 0 {
		return nil, errors.New("decode manifest: through: a negative age")
	}
	f.Through.Echo = through.GetEcho()
	d.frame = nil
	return f, nil
}

func (d *Decoder) definitions(m *segmentv1.Definitions) error {
	defs := d.frame.Definitions
	if defs == nil {
		defs = &blocks.Definitions{Currency: m.GetCurrencyCode(), Zone: m.GetTimeZone(), Days: m.GetDays()}
		d.frame.Definitions = defs
	}
	d.items += len(m.GetAttributes()) + len(m.GetSegments())
	for _, a := range m.GetAttributes() {
		kind, ok := kindOf(a)
		if !ok || a.GetRevision() < 0 {
			return fmt.Errorf("attribute %s: its declaration is not understood", a.GetName())
		}
		defs.Attributes = append(defs.Attributes, audience.Attribute{
			Name: a.GetName(), Kind: kind, Values: a.GetAllowedValues(), Scale: int(a.GetScale()), Sensitive: a.GetSensitive(), Revision: uint64(a.GetRevision()),
		})
	}
	for _, s := range m.GetSegments() {
		if s.GetVersion() < 0 || s.GetRuleState() < 0 {
			return fmt.Errorf("%s: a negative version", s.GetName())
		}
		defs.Segments = append(defs.Segments, blocks.SegmentDefinition{
			UID: s.GetUid(), Name: s.GetName(), Owner: s.GetOwner(), Version: uint64(s.GetVersion()), RuleState: uint64(s.GetRuleState()),
			Pending: s.GetPending(), Progress: int(s.GetProgressPercent()), DateRelative: s.GetDateRelative(), Rule: s.GetRule(),
		})
	}
	return nil
}

func (d *Decoder) block(m *segmentv1.BlockState) error {
	if m.GetDefsRevision() < 0 || m.GetDefsDefinitionRevision() < 0 {
		return errors.New("a negative revision")
	}
	s := blocks.BlockState{
		Block: m.GetBlock(), Epoch: blocks.Epoch{Number: m.GetEpoch().GetNumber(), Random: m.GetEpoch().GetRandom()},
		Version: m.GetVersion(), Base: m.GetBaseVersion(),
		Defs: blocks.Position{Revision: uint64(m.GetDefsRevision()), Definition: uint64(m.GetDefsDefinitionRevision())},
	}
	list := &d.frame.Blocks
	if n := len(*list); n == 0 || (*list)[n-1].Block != s.Block {
		*list = append(*list, s)
	} else if last := (*list)[n-1]; last.Epoch != s.Epoch || last.Version != s.Version || last.Base != s.Base || last.Defs != s.Defs {
		return errors.New("two states of it in one frame")
	}
	last := &(*list)[len(*list)-1]
	d.items += 1 + len(m.GetPending()) + len(m.GetLost()) + len(m.GetEntries())
	for _, f := range m.GetPending() {
		last.Pending = append(last.Pending, audience.Field(f))
	}
	for _, f := range m.GetLost() {
		last.Lost = append(last.Lost, audience.Field(f))
	}
	for _, e := range m.GetEntries() {
		last.Entries = append(last.Entries, blocks.Listed{
			Field: audience.Field(e.GetField()),
			Entry: blocks.Entry{Cardinality: e.GetCardinality(), Checksum: e.GetChecksum(), Size: e.GetSize()},
		})
	}
	return nil
}

func pointOf(p *typev1.Position) (blocks.Point, error) {
	if p.GetRevision() < 0 || p.GetRevision() == math.MaxInt64 {
		return blocks.Point{}, errors.New("a revision out of range")
	}
	return blocks.Point{Incarnation: p.GetIncarnation(), Revision: uint64(p.GetRevision()), Mark: string(p.GetMark())}, nil
}

func kindOf(a *segmentv1.Definitions_CustomAttribute) (audience.Kind, bool) {
	switch a.GetType() {
	case "string":
		return audience.KindText, true
	case "decimal":
		return audience.KindDecimal, true
	case "bool":
		return audience.KindBool, true
	case "date":
		return audience.KindDate, true
	case "string_list":
		return audience.KindTextList, true
	}
	return audience.KindInvalid, false
}
