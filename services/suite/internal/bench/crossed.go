package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/narrowcast/narrowcast/pkg/audience"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
)

// breaking is Q6.
func breaking(path string, ask func(context.Context, *campaignv1.BreakdownAudienceRequest) (*campaignv1.BreakdownAudienceResponse, error)) *op {
	req := &campaignv1.BreakdownAudienceRequest{
		Audience: question(inSegments([]int{segment5}, nil)).ref(),
		Dimensions: []*campaignv1.BreakdownAudienceRequest_Dimension{
			{Attribute: audience.AttrRegion}, {Attribute: audience.AttrGender}, {Attribute: audience.AttrAge, Bounds: ageBounds},
		},
	}
	return &op{name: nameQ6, about: aboutQ6, path: path, least: warm, do: func(ctx context.Context) (check, error) {
		res, err := ask(ctx, req)
		return func(t *truth) (int64, bool) { return res.GetCount(), brokenRight(res, t) }, err
	}}
}

// brokenRight compares every cell.
func brokenRight(res *campaignv1.BreakdownAudienceResponse, t *truth) bool {
	axes := res.GetAxes()
	if len(axes) != 3 || res.GetCount() != t.segments[segment5] || len(axes[2].GetValues()) != len(ageBounds)+1 {
		return false
	}
	places, genders, bands := len(axes[0].GetValues())+2, len(axes[1].GetValues())+2, len(ageBounds)+3
	if len(res.GetCounts()) != places*genders*bands {
		return false
	}
	left := len(t.cells)
	for i, n := range res.GetCounts() {
		if n == 0 {
			continue
		}
		left--
		at := cell{band: i % bands}
		if at.band == bands-1 { // without a birth date
			at.band = len(ageBounds) + 1
		}
		if g := i / bands % genders; g < genders-2 {
			at.gender = indexOf(audience.Genders, axes[1].GetValues()[g])
		}
		if r := i / bands / genders; r < places-2 {
			at.region = axes[0].GetValues()[r]
		}
		if t.cells[at] != n {
			return false
		}
	}
	return left == 0
}

// overlapping is Q7.
func overlapping(path string, ask func(context.Context, *campaignv1.OverlapAudiencesRequest) (*campaignv1.OverlapAudiencesResponse, error)) *op {
	req := &campaignv1.OverlapAudiencesRequest{}
	for _, k := range paired {
		req.Audiences = append(req.Audiences, question(inSegments([]int{k}, nil)).ref())
	}
	return &op{name: nameQ7, about: aboutQ7, path: path, least: warm, do: func(ctx context.Context) (check, error) {
		res, err := ask(ctx, req)
		return func(t *truth) (sum int64, ok bool) {
			ok = len(res.GetPairs()) == len(paired)*(len(paired)-1)/2
			for _, p := range res.GetPairs() {
				sum += p.GetCount()
				ok = ok && p.GetCount() == t.pairs[p.GetFirst()][p.GetSecond()]
			}
			return sum, ok
		}, err
	}}
}

type lookUp func(context.Context, *campaignv1.LookupProfilesRequest) (*campaignv1.LookupProfilesResponse, error)

// heldBy are the names of the segments that somebody is in, as a look-up says them.
func (w *world) heldBy(rank int, on day) (names []string) {
	p := w.crowd.at(rank, true)
	for k := range segments {
		if segments[k].holds(&p, on) {
			names = append(names, segments[k].name())
		}
	}
	slices.Sort(names)
	return names
}

// lookedUpRight compares what is said of each of the people.
func (w *world) lookedUpRight(ranks []int, res *campaignv1.LookupProfilesResponse, on day) (n int64, ok bool) {
	ok = len(res.GetMemberships()) == len(ranks)
	for i, m := range res.GetMemberships() {
		n += int64(len(m.GetSegments()))
		ok = ok && m.GetFound() && slices.Equal(m.GetSegments(), w.heldBy(ranks[i], on))
	}
	return n, ok
}

// looking is Q8: one person after the other, spread over the crowd.
func (w *world) looking(path string, ask lookUp) *op {
	next := uint64(0)
	return &op{name: nameQ8, about: aboutQ8, path: path, do: func(ctx context.Context) (check, error) {
		rank := int(mix(next^0x6c6f6f6b) % uint64(w.crowd.n))
		next++
		res, err := ask(ctx, &campaignv1.LookupProfilesRequest{Profiles: []string{w.name(rank)}})
		return func(t *truth) (int64, bool) {
			_, ok := w.lookedUpRight([]int{rank}, res, t.on)
			return 1, ok
		}, err
	}}
}

// Batches of look-ups.
const (
	inBatch = 100
	callers = 4
	calls   = 5
)

// lookingInBatches is Q8 in batches, from several callers at a time. Who is asked for is drawn before the time is taken, and one batch of
// each caller is compared.
func (w *world) lookingInBatches(ask lookUp) *op {
	next := uint64(0)
	var ranks [callers * calls][]int
	var reqs [callers * calls]*campaignv1.LookupProfilesRequest
	draw := func() {
		for i := range reqs {
			ranks[i], reqs[i] = nil, &campaignv1.LookupProfilesRequest{}
			for range inBatch {
				rank := int(mix(next^0x6261746368) % uint64(w.crowd.n))
				next++
				ranks[i], reqs[i].Profiles = append(ranks[i], rank), append(reqs[i].GetProfiles(), w.name(rank))
			}
		}
	}
	draw()
	o := &op{name: nameQ8 + " batches", about: aboutQ8Batch, path: PathGRPC, unit: "profiles", least: warm, after: func(context.Context) error {
		draw()
		return nil
	}}
	o.do = func(ctx context.Context) (check, error) {
		var last [callers]*campaignv1.LookupProfilesResponse
		work, ctx := errgroup.WithContext(ctx)
		for c := range callers {
			work.Go(func() (err error) {
				for i := range calls {
					if last[c], err = ask(ctx, reqs[c*calls+i]); err != nil {
						return err
					}
				}
				return nil
			})
		}
		asked := ranks
		err := work.Wait()
		return func(t *truth) (int64, bool) {
			ok := true
			for c, res := range last {
				_, right := w.lookedUpRight(asked[c*calls+calls-1], res, t.on)
				ok = ok && right
			}
			return callers * calls * inBatch, ok
		}, err
	}
	return o
}

// openRate is how many look-ups a second are begun in the open loop.
const openRate = 2000

// openLoop begins look-ups at a steady pace for as long as changes are written under load, and takes the time of each from when it was to
// begin: a server that stands still for a moment pays for all who would have asked.
func (w *world) openLoop(ctx context.Context) (*op, error) {
	o := &op{name: nameQ8 + " open loop", path: PathGRPC, about: aboutQ8Open, note: fmt.Sprintf("%d a second for %s", openRate, w.opts.Load)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	total := int(w.opts.Load.Seconds() * openRate)
	times := make([]time.Duration, total)
	var wrong atomic.Int64
	var once sync.Once
	var failed error
	var asking sync.WaitGroup
	begun := time.Now()
	tick := time.NewTicker(250 * time.Microsecond)
	defer tick.Stop()
	for sent := 0; sent < total && ctx.Err() == nil; {
		<-tick.C
		for ; sent < total && sent < int(time.Since(begun).Seconds()*openRate); sent++ {
			n := sent
			asking.Go(func() {
				due := begun.Add(time.Duration(float64(n) / openRate * 1e9))
				rank := int(mix(uint64(n)^0x6f70656e) % uint64(w.crowd.n))
				res, err := w.lookup.LookupProfiles(ctx, &campaignv1.LookupProfilesRequest{Profiles: []string{w.name(rank)}})
				times[n] = time.Since(due)
				if err != nil {
					once.Do(func() { failed = err; cancel() })
				} else if n%50 == 0 {
					if _, ok := w.lookedUpRight([]int{rank}, res, w.truth.on); !ok {
						wrong.Add(1)
					}
				}
			})
		}
	}
	asking.Wait()
	o.times, o.last = times, 1
	if n := wrong.Load(); n > 0 {
		o.wrong = fmt.Sprintf("%d wrong answers", n)
	}
	return o, failed
}
