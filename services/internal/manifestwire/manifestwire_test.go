package manifestwire_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	"github.com/narrowcast/narrowcast/services/internal/manifestwire"
)

func entries(n int, prefix string) (list []blocks.Listed) {
	for i := range n {
		list = append(list, blocks.Listed{
			Field: audience.Field(fmt.Sprintf("f/%s=%07d", prefix, i)),
			Entry: blocks.Entry{Cardinality: uint32(i), Checksum: uint64(i) << 40, Size: uint32(i) + 1},
		})
	}
	return list
}

func full(blockCount, entryCount, segmentCount int) blocks.Frame {
	f := blocks.Frame{
		Full: true, Store: "store-1", Layout: 3, Format: blocks.Format,
		Definitions: &blocks.Definitions{
			Currency: "EUR", Zone: "Europe/Paris", Days: []int64{20_000, 20_001},
			Attributes: []audience.Attribute{
				{Name: "custom.balance", Kind: audience.KindDecimal, Scale: 2, Revision: 7},
				{Name: "custom.creed", Kind: audience.KindText, Sensitive: true, Revision: 8},
				{Name: "custom.hobbies", Kind: audience.KindTextList, Values: []string{"a", "b"}},
				{Name: "custom.since", Kind: audience.KindDate},
				{Name: "custom.tier", Kind: audience.KindText, Values: []string{"gold", "silver"}},
				{Name: "custom.vip", Kind: audience.KindBool},
			},
		},
		Through: blocks.Through{
			Profiles:    blocks.Point{Incarnation: "p", Revision: 99, Mark: "\x00\xff"},
			Definitions: blocks.Point{Incarnation: "d", Revision: 12, Mark: "m"},
			Age:         137 * time.Millisecond, Echo: 41,
		},
	}
	for i := range segmentCount {
		f.Definitions.Segments = append(f.Definitions.Segments, blocks.SegmentDefinition{
			UID: fmt.Sprintf("uid-%05d", i), Name: fmt.Sprintf("segments/s%d", i), Owner: "personas/p", Version: 3, RuleState: 9,
			Pending: i%2 == 0, Progress: 40, DateRelative: i%3 == 0, Rule: `age() >= 18 && interests.any(["` + fmt.Sprint(i) + `"])`,
		})
	}
	for b := range blockCount {
		f.Blocks = append(f.Blocks, blocks.BlockState{
			Block: uint32(b), Epoch: blocks.Epoch{Number: 5, Random: 1 << 63}, Version: uint64(b) + 1,
			Defs:    blocks.Position{Revision: 90, Definition: 11},
			Pending: []audience.Field{"s/x@12"}, Entries: entries(entryCount, "a"), Lost: []audience.Field{"f/gone=1", "f/gone=2"},
		})
	}
	return f
}

func TestFramesComeOutAsTheyWentIn(t *testing.T) {
	delta := full(2, 3, 0)
	delta.Full, delta.Definitions = false, nil
	delta.Blocks[0].Base = 0
	delta.Blocks[1].Base = 1
	for name, frame := range map[string]blocks.Frame{
		"empty":             {Store: "s", Layout: 1, Format: blocks.Format},
		"delta":             delta,
		"small":             full(1, 1, 1),
		"many blocks":       full(300, 200, 10),
		"many segments":     full(1, 1, 30_000),
		"one crowded block": full(1, 100_000, 1),
	} {
		t.Run(name, func(t *testing.T) {
			var d manifestwire.Decoder
			messages := manifestwire.Encode(&frame)
			for i, m := range messages {
				if size := proto.Size(m); size > 3<<20 {
					t.Errorf("message %d has %d bytes, too near gRPC's limit", i, size)
				}
				raw, err := proto.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				var received segmentv1.WatchBlocksResponse
				if err := proto.Unmarshal(raw, &received); err != nil {
					t.Fatal(err)
				}
				got, err := d.Add(&received)
				if err != nil {
					t.Fatal(err)
				}
				if last := i == len(messages)-1; (got != nil) != last {
					t.Fatalf("message %d of %d: frame complete: %v", i+1, len(messages), got != nil)
				}
				if got != nil {
					if diff := cmp.Diff(frame, *got, cmpopts.IgnoreUnexported(audience.Attribute{})); diff != "" {
						t.Errorf("frame changed (-want +got):\n%.2000s", diff)
					}
				}
			}
		})
	}
}

func TestLargeFramesTakeSeveralMessages(t *testing.T) {
	frame := full(300, 200, 10)
	if n := len(manifestwire.Encode(&frame)); n < 2 {
		t.Errorf("a frame of %d entries took %d message", 300*200, n)
	}
}

func TestMessagesThatDoNotFitAreRefused(t *testing.T) {
	frame := full(300, 200, 0)
	messages := manifestwire.Encode(&frame)
	other := full(1, 1, 0)
	other.Layout = 9
	for name, second := range map[string]*segmentv1.WatchBlocksResponse{
		"a frame begins within another": messages[0],
		"another layout":                manifestwire.Encode(&other)[0],
		"a negative age":                {Store: "store-1", Layout: 3, Format: blocks.Format, Through: negativeAge(messages)},
	} {
		var d manifestwire.Decoder
		if _, err := d.Add(messages[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Add(second); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func negativeAge(messages []*segmentv1.WatchBlocksResponse) *segmentv1.Through {
	through := proto.CloneOf(messages[len(messages)-1].GetThrough())
	through.Age.Seconds = -1
	return through
}

func FuzzDecoder(f *testing.F) {
	frame := full(2, 3, 2)
	for _, m := range manifestwire.Encode(&frame) {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m segmentv1.WatchBlocksResponse
		if proto.Unmarshal(raw, &m) != nil {
			return
		}
		var d manifestwire.Decoder
		if got, err := d.Add(&m); err == nil && got == nil && m.GetThrough() != nil {
			t.Fatal("a message with an end completed no frame")
		}
	})
}
