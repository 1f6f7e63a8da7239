package resolve_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks"
	"github.com/narrowcast/narrowcast/pkg/audience/blocks/memblocks"
	"github.com/narrowcast/narrowcast/services/campaign"
	"github.com/narrowcast/narrowcast/services/campaign/internal/resolve"
)

// The population of BenchmarkResolve: a hundred regions, and the densities of the questions of docs/bench.
const (
	benchRegions = 100
	benchDay     = 20_000
)

// crowd is an index of many people without any service: blocks in memory, a manifest, a resolver.
type crowd struct {
	blocks   int
	resolver *resolve.Resolver
	close    func()
	// rows of two facts as plain bitmaps, for the AND to compare with.
	directors, segment []*audience.Bits
}

func (c *crowd) Refill(context.Context, uint32, uint32) error { return errors.New("no lease holder") }

func (c *crowd) Segment(context.Context, string) (resolve.Segment, error) {
	return resolve.Segment{}, errors.New("no segment service")
}

func (c *crowd) Head(context.Context) (blocks.Position, error) {
	return blocks.Position{}, errors.New("no profile service")
}

type crowdSource struct{ p *blocks.Publisher }

func (s crowdSource) Watch(ctx context.Context) (blocks.Stream, error) {
	sub := s.p.Subscribe()
	context.AfterFunc(ctx, sub.Close)
	return crowdStream{ctx, sub}, nil
}

type crowdStream struct {
	ctx context.Context
	sub *blocks.Subscription
}

func (s crowdStream) Send(n uint64) error         { s.sub.Echo(n); return nil }
func (s crowdStream) Recv() (blocks.Frame, error) { return s.sub.Next(s.ctx) }

// gather makes a crowd: with its people in the order of their regions and birth dates, or shuffled.
func gather(b *testing.B, count int, sorted bool) *crowd {
	b.Helper()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	c := &crowd{blocks: count}
	store := memblocks.New()
	w, err := blocks.NewWriter(store, blocks.WriterConfig{Store: "bench", Layout: 1, Epoch: blocks.Epoch{Number: 1, Random: 2}})
	must(err)
	p, err := blocks.NewPublisher(blocks.PublisherConfig{Store: "bench", Layout: 1})
	must(err)
	var states []blocks.BlockState
	var templates []blocks.Change
	for n := range count {
		var change blocks.Change
		if sorted || n < 8 {
			change = people(n, count, sorted)
			if !sorted {
				templates = append(templates, change)
			}
		} else {
			change = templates[n%8]
		}
		change.Block = uint32(n)
		director, five := *change.Rows["f/job_level=director"], *change.Rows["s/five@1"]
		c.directors, c.segment = append(c.directors, &director), append(c.segment, &five)
		st, err := w.Rewrite(b.Context(), change)
		must(err)
		states = append(states, st)
	}
	defs := &blocks.Definitions{Currency: "EUR", Zone: "UTC", Segments: []blocks.SegmentDefinition{
		{UID: "five", Name: "segments/five", RuleState: 1, Version: 1}, {UID: "ten", Name: "segments/ten", RuleState: 1, Version: 1},
	}}
	must(p.Publish(blocks.Update{Definitions: defs, Blocks: states, Through: blocks.Through{Profiles: blocks.Point{Revision: 1}}, Asked: time.Now()}))
	f, err := blocks.NewFollower(blocks.FollowerConfig{Source: crowdSource{p}})
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.Run(ctx) // it ends when it is told to
	}()
	r, err := blocks.NewReader(blocks.ReaderConfig{Store: store, Follower: f, Refiller: c, Staleness: time.Hour, MemoryBytes: 4 << 30})
	must(err)
	_, err = f.Wait(b.Context(), blocks.Position{Revision: 1})
	must(err)
	c.resolver, err = resolve.New(resolve.Config{Reader: r, Follower: f, Neighbours: c, Now: func() time.Time { return time.Unix(benchDay*24*60*60, 0) }})
	must(err)
	c.close = func() {
		cancel()
		<-done
		r.Close()
	}
	return c
}

// people makes the content of one block.
func people(block, count int, sorted bool) blocks.Change {
	r := rand.New(rand.NewPCG(uint64(block), 5))
	rows := make(map[audience.Field]*audience.Bits)
	set := func(f audience.Field, o uint16) {
		if rows[f] == nil {
			rows[f] = new(audience.Bits)
		}
		rows[f].Set(o)
	}
	regionRow := make([]audience.Field, benchRegions)
	for i := range regionRow {
		regionRow[i] = audience.FactField(audience.AttrRegion, benchRegion(i))
	}
	birth := make([]int64, audience.BlockSize)
	total := count * audience.BlockSize
	const youngest, oldest = 18, 90
	uids := make(map[int][]audience.UID, blocks.Chunks)
	for i := range audience.BlockSize {
		o := uint16(i)
		global := block*audience.BlockSize + i
		where, age := r.IntN(benchRegions), r.Float64()
		if sorted {
			at := float64(global) * benchRegions / float64(total)
			where = int(at)
			age = at - float64(where)
		}
		birth[i] = benchDay - int64(365.25*(youngest+age*(oldest-youngest)))
		set(audience.FieldLive, o)
		set(regionRow[where], o)
		set("p/region", o)
		set(audience.Field("f/gender="+audience.Genders[r.IntN(2)]), o)
		set("p/gender", o)
		level := "entry"
		if r.IntN(100) < 2 {
			level = "director"
		}
		set(audience.Field("f/job_level="+level), o)
		set("p/job_level", o)
		set("p/income", o)
		if r.IntN(20) == 0 {
			set("s/five@1", o)
		}
		if r.IntN(10) == 0 {
			set("s/ten@1", o)
		}
		part := i / blocks.ChunkSize
		if uids[part] == nil {
			uids[part] = make([]audience.UID, blocks.ChunkSize)
		}
		binary.BigEndian.PutUint64(uids[part][i%blocks.ChunkSize][8:], uint64(global)+1)
	}
	num := func(value func(i int) int64) *audience.Column {
		return audience.NewNumColumn(func(yield func(uint16, int64) bool) {
			for i := range audience.BlockSize {
				if !yield(uint16(i), value(i)) {
					return
				}
			}
		})
	}
	consent := func(int) int64 { return []int64{audience.MinDay, audience.MaxDay, audience.MaxDay}[r.IntN(3)] }
	born := num(func(i int) int64 { return birth[i] })
	return blocks.Change{
		Rows: rows, UIDs: uids, Defs: blocks.Position{Revision: 1, Definition: 1},
		Columns: map[audience.Field]*audience.Column{
			"c/birth_date": born, "c/birth_date.last": born,
			"c/income:EUR":                      num(func(int) int64 { return int64(1+r.IntN(1000)) * 100_00 }),
			"c/consent.ads_personalisation.any": num(consent), "c/consent.marketing.email": num(consent), "c/consent.marketing.any": num(consent),
		},
	}
}

// benchRegion names one of the regions: departments of France.
func benchRegion(i int) string {
	if i < 95 && i+1 != 20 {
		return fmt.Sprintf("FR-%02d", i+1)
	}
	return []string{"DE-BE", "DE-BY", "DE-HH", "DE-HE", "DE-NW", "DE-SN"}[i%6]
}

func years(lo, hi int64) *campaign.Ages { return &campaign.Ages{Min: &lo, Max: &hi} }

// BenchmarkResolve asks the questions of docs/bench of an index in memory, through the resolver, and prints the least and the middle
// time beside that of ANDing two rows of every block as bitmaps, in the same run. NARROWCAST_BENCH_BLOCKS sets the number of blocks.
func BenchmarkResolve(b *testing.B) {
	count := 16
	if text := os.Getenv("NARROWCAST_BENCH_BLOCKS"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	narrow := campaign.Spec{Regions: []string{"FR-40"}, Age: years(25, 34), JobLevels: []string{"director"}}
	narrower := narrow
	narrower.Genders, narrower.Purposes = []string{"female"}, []string{"ads_personalisation"}
	narrower.AllSegments, narrower.ExcludedSegments = []string{"segments/five"}, []string{"segments/ten"}
	list := campaign.Spec{Age: years(18, 34), Income: &campaign.Incomes{Min: "30000", Max: "60000"}, Channel: "email"}
	for _, layout := range []string{"sorted", "shuffled"} {
		var c *crowd
		for _, q := range []struct {
			name string
			spec campaign.Spec
		}{
			{"Q1", narrow}, {"Q1-total", narrow}, {"Q2+Q5", narrower}, {"Q2-total", narrower},
			{"no-region-total", campaign.Spec{JobLevels: []string{"director"}, AllSegments: []string{"segments/five"}}},
			{"no-region", campaign.Spec{JobLevels: []string{"director"}, AllSegments: []string{"segments/five"}}},
			{"Q4-list", list},
		} {
			b.Run(fmt.Sprintf("blocks=%d/%s/%s", count, layout, q.name), func(b *testing.B) {
				if c == nil {
					c = gather(b, count, layout == "sorted")
				}
				ask := func() int64 {
					n, err := c.resolver.Count(b.Context(), q.spec, resolve.Consistency{})
					if err != nil {
						b.Fatal(err)
					}
					return n.Total()
				}
				if strings.HasSuffix(q.name, "-total") {
					ask = func() int64 {
						n, _, err := c.resolver.Total(b.Context(), q.spec, resolve.Consistency{})
						if err != nil {
							b.Fatal(err)
						}
						return n
					}
				}
				if q.name == "Q4-list" {
					ask = func() int64 {
						sent, err := c.resolver.Stream(b.Context(), resolve.Stream{Spec: q.spec, Send: func([]audience.UID, resolve.Place) error { return nil }})
						if err != nil {
							b.Fatal(err)
						}
						return sent.Count
					}
				}
				found := ask() // what is cold is not measured
				var took, plain []float64
				b.ReportAllocs()
				for b.Loop() {
					took = append(took, timed(func() { ask() }))
					b.StopTimer()
					plain = append(plain, timed(func() {
						for i := range c.directors {
							found += int64(min(0, c.directors[i].AndCount(c.segment[i])))
						}
					}))
					b.StartTimer()
				}
				slices.Sort(took)
				slices.Sort(plain)
				b.ReportMetric(took[0]/1e3, "min-µs")
				b.ReportMetric(took[len(took)/2]/1e3, "p50-µs")
				b.ReportMetric(took[0]/plain[0], "min-x-dense")
				b.ReportMetric(float64(found), "members")
				if q.name == "Q4-list" {
					b.ReportMetric(float64(found)/took[0]*1e3, "M-uids/s")
				}
			})
		}
		if c != nil {
			c.close()
		}
	}
}

func timed(f func()) float64 {
	begun := time.Now()
	f()
	return float64(time.Since(begun).Nanoseconds())
}
