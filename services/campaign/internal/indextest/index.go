package indextest

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/manifestwire"
)

// StoreID, Incarnation and Mark are of the stores that the index stands for.
const (
	StoreID     = "store-under-test"
	Incarnation = "life-1"
)

// Person is somebody at a place in the index.
type Person struct {
	UID     audience.UID
	Block   uint32
	Ordinal uint16
	Facts   audience.Facts
}

// Segment is a segment and its rule.
type Segment struct {
	UID, Name, Owner string
	// Rule is empty for a list.
	Rule string
	List map[audience.UID]bool
	// Building says that it has no rows yet.
	Building bool
	// Hidden says that the manifest does not have it yet.
	Hidden bool

	Pred     audience.Pred
	relative bool
}

// Index is the segment service in small. Change what is in People and Segments only through its methods.
type Index struct {
	t testing.TB

	Schema   *audience.Schema
	People   []*Person // by block and ordinal
	Segments []*Segment
	Blocks   *memblocks.Store
	// Today is the day of the store.
	Today int64
	Zone  string
	Count uint32 // blocks

	Calls   atomic.Int64 // of GetSegment, GetHead and RefillBlock
	NoHeads atomic.Bool  // GetHead fails

	mu        sync.Mutex
	revision  uint64
	writer    *blocks.Writer
	publisher *blocks.Publisher
	conn      grpc.ClientConnInterface
}

// New returns an index of n random people in the given number of blocks, published at revision 1.
func New(t testing.TB, seed uint64, n int, count uint32, segments ...*Segment) *Index {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	schema, err := audience.NewSchema("EUR", customs)
	if err != nil {
		t.Fatal(err)
	}
	x := &Index{t: t, Schema: schema, Segments: segments, Blocks: memblocks.New(), Today: audiencetest.Day, Zone: "Europe/Paris", Count: count}
	taken := make(map[[2]uint32]bool)
	for i := range n {
		p := &Person{Block: r.Uint32N(count), Ordinal: uint16(r.IntN(audience.BlockSize)), Facts: audiencetest.Facts(r, schema)}
		if i%3 == 0 {
			p.Ordinal = uint16(r.IntN(200)) // some lie close together
		}
		if taken[[2]uint32{p.Block, uint32(p.Ordinal)}] {
			continue
		}
		taken[[2]uint32{p.Block, uint32(p.Ordinal)}] = true
		for j := range p.UID {
			p.UID[j] = byte(r.Uint32())
		}
		x.People = append(x.People, p)
	}
	slices.SortFunc(x.People, func(a, b *Person) int {
		return int(int64(a.Block)<<16+int64(a.Ordinal)) - int(int64(b.Block)<<16+int64(b.Ordinal))
	})
	for _, s := range segments {
		if s.UID == "" {
			s.UID = "uid-" + strings.TrimPrefix(s.Name, "segments/")
		}
		if s.Rule == "" {
			s.List = make(map[audience.UID]bool)
			for _, p := range x.People {
				if r.IntN(3) == 0 {
					s.List[p.UID] = true
				}
			}
		}
	}
	x.compile()
	x.writer, err = blocks.NewWriter(x.Blocks, blocks.WriterConfig{Store: StoreID, Layout: 1, Epoch: blocks.Epoch{Number: 1, Random: 9}})
	if err != nil {
		t.Fatal(err)
	}
	if x.publisher, err = blocks.NewPublisher(blocks.PublisherConfig{Store: StoreID, Layout: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.publisher.Close)
	local, err := rpc.NewLocal(rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	segmentv1.RegisterMembershipServiceServer(local, membership{x: x})
	segmentv1.RegisterSegmentServiceServer(local, segmentsOf{x: x})
	profilev1.RegisterProfileServiceServer(local, profiles{x: x})
	x.conn = local
	x.Commit(func() {})
	return x
}

var customs = []audience.Attribute{
	{Name: "custom.note", Kind: audience.KindText, Revision: 1},
	{Name: "custom.score", Kind: audience.KindDecimal, Scale: 2, Revision: 1},
	{Name: "custom.tags", Kind: audience.KindTextList, Revision: 1},
	{Name: "custom.vip", Kind: audience.KindBool, Revision: 1},
}

// Conn is a connection to the segment and profile services that the index plays.
func (x *Index) Conn() grpc.ClientConnInterface { return x.conn }

// Resolve returns the uid of a segment's name, for rule.Compile.
func (x *Index) Resolve(name string) (string, error) {
	for _, s := range x.Segments {
		if s.Name == name {
			return s.UID, nil
		}
	}
	return "", fault.New(fault.Invalid, "TEST_NO_SEGMENT", name)
}

func (x *Index) compile() {
	for _, s := range x.Segments {
		if s.Rule == "" {
			continue
		}
		c, err := rule.Compile(s.Rule, x.Schema, x.Resolve)
		if err != nil {
			x.t.Fatal(err)
		}
		s.Pred, s.relative = c.Pred, c.DateRelative
	}
	for range x.Segments { // as often as references can be deep
		for _, s := range x.Segments {
			for _, uid := range audience.Segments(s.Pred) {
				s.relative = s.relative || x.segment(uid).relative
			}
		}
	}
}

func (x *Index) segment(uid string) *Segment {
	for _, s := range x.Segments {
		if s.UID == uid {
			return s
		}
	}
	x.t.Fatalf("no segment %s", uid)
	return nil
}

// Member says by the plain three-valued loop whether somebody is in a segment: ages on day, consents on today's.
func (x *Index) Member(p *Person, uid string, day int64) bool {
	s := x.segment(uid)
	if s.List != nil {
		return s.List[p.UID]
	}
	return x.Truth(p, s.Pred, day) == audience.True
}

// Truth is what a predicate is of somebody: ages on day, consents on today's. A predicate that is a consent at its top, or has none, is
// judged; one with consents inside must be asked with day today.
func (x *Index) Truth(p *Person, pred audience.Pred, day int64) audience.Tri {
	if _, ok := pred.(audience.Consent); ok {
		day = x.Today
	}
	return audiencetest.Eval(pred, p.Facts, day, x.Schema, func(uid string) bool { return x.Member(p, uid, day) })
}

// Revision is the newest one.
func (x *Index) Revision() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.revision
}

// Commit makes a change and publishes it, as one revision.
func (x *Index) Commit(change func()) {
	x.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	change()
	x.revision++
	var states []blocks.BlockState
	for b := range x.Count {
		states = append(states, x.rewrite(b))
	}
	defs := &blocks.Definitions{Attributes: customs, Currency: "EUR", Zone: x.Zone, Days: []int64{x.Today, x.Today + 1}}
	for _, s := range x.Segments {
		if s.Hidden {
			continue
		}
		d := blocks.SegmentDefinition{UID: s.UID, Name: s.Name, Owner: s.Owner, Version: 3, RuleState: 7, DateRelative: s.relative, Rule: s.Rule, Progress: 100}
		if s.Building {
			d.RuleState, d.Pending, d.Progress = 0, true, 40
		}
		defs.Segments = append(defs.Segments, d)
	}
	slices.SortFunc(defs.Segments, func(a, b blocks.SegmentDefinition) int { return strings.Compare(a.UID, b.UID) })
	x.publish(defs, states)
}

func (x *Index) publish(defs *blocks.Definitions, states []blocks.BlockState) {
	x.t.Helper()
	err := x.publisher.Publish(blocks.Update{
		Definitions: defs, Blocks: states, Asked: time.Now(),
		Through: blocks.Through{
			Profiles:    blocks.Point{Incarnation: Incarnation, Revision: x.revision, Mark: "mark"},
			Definitions: blocks.Point{Incarnation: Incarnation, Revision: 7, Mark: "mark"},
		},
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *Index) rewrite(b uint32) blocks.BlockState {
	x.t.Helper()
	c := blocks.Change{
		Block: b, Rows: make(map[audience.Field]*audience.Bits), Columns: make(map[audience.Field]*audience.Column),
		UIDs: make(map[int][]audience.UID), Defs: blocks.Position{Revision: x.revision, Definition: 7},
	}
	facts := make(map[uint16]audience.Facts)
	for _, s := range x.Segments {
		if s.Building || s.Hidden {
			continue
		}
		for _, day := range []int64{x.Today, x.Today + 1} {
			row := new(audience.Bits)
			for _, p := range x.People {
				// The row of a day has the consents of that day.
				if p.Block == b && (s.List[p.UID] || s.Pred != nil && x.rowMember(p, s.UID, day)) {
					row.Set(p.Ordinal)
				}
			}
			d := blocks.SegmentDefinition{UID: s.UID, RuleState: 7, DateRelative: s.relative}
			c.Rows[d.Field(day)] = row
		}
	}
	columns := make(map[audience.Field]bool)
	for _, p := range x.People {
		if p.Block != b {
			continue
		}
		facts[p.Ordinal] = p.Facts
		derived, err := audience.Derive(x.Schema, p.Facts)
		if err != nil {
			x.t.Fatal(err)
		}
		for _, v := range derived.Columns {
			columns[v.Field] = true
		}
		part := int(p.Ordinal) / blocks.ChunkSize
		if c.UIDs[part] == nil {
			c.UIDs[part] = make([]audience.UID, blocks.ChunkSize)
		}
		c.UIDs[part][int(p.Ordinal)%blocks.ChunkSize] = p.UID
	}
	held, err := audiencetest.NewBlock(x.Schema, maps.All(facts))
	if err != nil {
		x.t.Fatal(err)
	}
	for f := range held.Rows("") {
		row, _ := held.Row(f)
		c.Rows[f] = row.Bits()
	}
	for f := range columns {
		c.Columns[f], _ = held.Column(f)
	}
	st, err := x.writer.Rewrite(context.WithoutCancel(x.t.Context()), c)
	if err != nil {
		x.t.Fatal(err)
	}
	return st
}

func (x *Index) rowMember(p *Person, uid string, day int64) bool {
	s := x.segment(uid)
	if s.List != nil {
		return s.List[p.UID]
	}
	return audiencetest.Eval(s.Pred, p.Facts, day, x.Schema, func(uid string) bool { return x.rowMember(p, uid, day) }) == audience.True
}

// membership serves the manifest.
type membership struct {
	segmentv1.UnimplementedMembershipServiceServer
	x *Index
}

func (m membership) WatchBlocks(s grpc.BidiStreamingServer[segmentv1.WatchBlocksRequest, segmentv1.WatchBlocksResponse]) error {
	sub := m.x.publisher.Subscribe()
	defer sub.Close()
	go func() {
		for {
			n, err := s.Recv()
			if err != nil {
				return
			}
			sub.Echo(n.GetNumber())
		}
	}()
	for {
		f, err := sub.Next(s.Context())
		if err != nil {
			return err
		}
		for _, out := range manifestwire.Encode(&f) {
			if err := s.Send(out); err != nil {
				return err
			}
		}
	}
}

func (m membership) RefillBlock(_ context.Context, req *segmentv1.RefillBlockRequest) (*segmentv1.RefillBlockResponse, error) {
	m.x.Calls.Add(1)
	m.x.mu.Lock()
	defer m.x.mu.Unlock()
	m.x.publish(nil, []blocks.BlockState{m.x.rewrite(req.GetBlock())})
	return &segmentv1.RefillBlockResponse{}, nil
}

// segmentsOf answers about segments.
type segmentsOf struct {
	segmentv1.UnimplementedSegmentServiceServer
	x *Index
}

func (g segmentsOf) GetSegment(_ context.Context, req *segmentv1.GetSegmentRequest) (*segmentv1.Segment, error) {
	g.x.Calls.Add(1)
	for _, s := range g.x.Segments {
		if s.Name == req.GetName() {
			return &segmentv1.Segment{Name: s.Name, Uid: s.UID, Owner: s.Owner, ProgressPercent: 5}, nil
		}
	}
	return nil, fault.New(fault.NotFound, "SEGMENT_NOT_FOUND", "no such segment").With("name", req.GetName())
}

// profiles answers about the head.
type profiles struct {
	profilev1.UnimplementedProfileServiceServer
	x *Index
}

func (p profiles) GetHead(context.Context, *profilev1.GetHeadRequest) (*profilev1.GetHeadResponse, error) {
	p.x.Calls.Add(1)
	if p.x.NoHeads.Load() {
		return nil, fault.New(fault.Unavailable, "STORE_UNAVAILABLE", "for the test")
	}
	return &profilev1.GetHeadResponse{Store: StoreID, Position: &typev1.Position{Incarnation: Incarnation, Revision: int64(p.x.Revision())}}, nil
}

// Key is a block's, in Blocks.
func (x *Index) Key(block uint32) blocks.Key { return x.writer.Key(block) }
