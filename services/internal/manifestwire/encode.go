package manifestwire

import (
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// messageBytes is about how large a message may grow before the next one is begun: large enough to carry a busy tick in one,
// small enough that no single block or segment more comes near gRPC's default limit of 4 MiB.
const messageBytes = 1 << 20

// maxEntries bounds the entries of one block in one message; a block with more goes on in the next message.
const maxEntries = 16_384

// Encode turns a frame into the messages that carry it, the last of which holds its end.
func Encode(f *blocks.Frame) []*segmentv1.WatchBlocksResponse {
	e := encoder{frame: f}
	if f.Definitions != nil {
		e.definitions(f.Definitions)
	}
	for i := range f.Blocks {
		e.block(&f.Blocks[i])
	}
	e.message().Through = &segmentv1.Through{
		Profiles: point(f.Through.Profiles), Definitions: point(f.Through.Definitions),
		Age: durationpb.New(f.Through.Age), Echo: f.Through.Echo,
	}
	return e.messages
}

// encoder fills messages one after the other.
type encoder struct {
	frame    *blocks.Frame
	messages []*segmentv1.WatchBlocksResponse
	size     int
}

// message is the one being filled.
func (e *encoder) message() *segmentv1.WatchBlocksResponse {
	if len(e.messages) == 0 || e.size >= messageBytes {
		e.messages = append(e.messages, &segmentv1.WatchBlocksResponse{
			Whole: e.frame.Full && len(e.messages) == 0,
			Store: e.frame.Store, Layout: e.frame.Layout, Format: e.frame.Format,
		})
		e.size = 0
	}
	return e.messages[len(e.messages)-1]
}

func (e *encoder) definitions(d *blocks.Definitions) {
	m := e.message()
	m.Definitions = &segmentv1.Definitions{CurrencyCode: d.Currency, TimeZone: d.Zone, Days: d.Days}
	for i := range d.Attributes {
		a := &d.Attributes[i]
		m = e.more()
		m.Definitions.Attributes = append(m.Definitions.Attributes, &segmentv1.Definitions_CustomAttribute{
			Name: a.Name, Type: typeOf[a.Kind], AllowedValues: a.Values, Scale: int32(a.Scale), Sensitive: a.Sensitive, Revision: int64(a.Revision),
		})
		e.size += 40 + len(a.Name)
		for _, v := range a.Values {
			e.size += 2 + len(v)
		}
	}
	for i := range d.Segments {
		s := &d.Segments[i]
		m = e.more()
		m.Definitions.Segments = append(m.Definitions.Segments, &segmentv1.Definitions_SegmentDefinition{
			Uid: s.UID, Name: s.Name, Owner: s.Owner, Version: int64(s.Version), RuleState: int64(s.RuleState), Pending: s.Pending,
			DateRelative: s.DateRelative, Rule: s.Rule, ProgressPercent: int32(s.Progress),
		})
		e.size += 60 + len(s.UID) + len(s.Name) + len(s.Owner) + len(s.Rule)
	}
}

// more is the message being filled, with definitions to add to: those of one frame may go on over several messages.
func (e *encoder) more() *segmentv1.WatchBlocksResponse {
	m := e.message()
	if m.Definitions == nil {
		m.Definitions = &segmentv1.Definitions{}
	}
	return m
}

// block adds a block's state. One with very many entries goes on in messages of its own: each names the block again.
func (e *encoder) block(s *blocks.BlockState) {
	entries, lost, pending := s.Entries, s.Lost, s.Pending
	for first := true; first || len(entries)+len(lost)+len(pending) > 0; first = false {
		b := &segmentv1.BlockState{
			Block: s.Block, Epoch: &segmentv1.Epoch{Number: s.Epoch.Number, Random: s.Epoch.Random}, Version: s.Version, BaseVersion: s.Base,
			DefsRevision: int64(s.Defs.Revision), DefsDefinitionRevision: int64(s.Defs.Definition),
		}
		m := e.message()
		m.Blocks = append(m.Blocks, b)
		e.size += 64
		room := maxEntries
		pending = take(pending, &room, func(f audience.Field) {
			b.Pending = append(b.Pending, string(f))
			e.size += 4 + len(f)
		})
		lost = take(lost, &room, func(f audience.Field) {
			b.Lost = append(b.Lost, string(f))
			e.size += 4 + len(f)
		})
		entries = take(entries, &room, func(l blocks.Listed) {
			b.Entries = append(b.Entries, &segmentv1.BlockState_Entry{
				Field: string(l.Field), Cardinality: l.Cardinality, Checksum: l.Checksum, Size: l.Size,
			})
			e.size += 28 + len(l.Field)
		})
	}
}

// take hands the first of a list to a function, as many as there is room for, and returns the rest.
func take[T any](list []T, room *int, add func(T)) []T {
	n := min(len(list), *room)
	for _, x := range list[:n] {
		add(x)
	}
	*room -= n
	return list[n:]
}

func point(p blocks.Point) *typev1.Position {
	return &typev1.Position{Incarnation: p.Incarnation, Revision: int64(p.Revision), Mark: []byte(p.Mark)}
}

// typeOf names the kinds that attributes are declared with.
var typeOf = map[audience.Kind]string{
	audience.KindText: "string", audience.KindDecimal: "decimal", audience.KindBool: "bool",
	audience.KindDate: "date", audience.KindTextList: "string_list",
}
