package bench

import (
	"context"
	"errors"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/narrowcast/narrowcast/pkg/audience"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// Names of the figures whose question is not a count.
const (
	nameQ5      = "Q5"
	nameQ6      = "Q6"
	nameQ7      = "Q7"
	nameQ8      = "Q8"
	nameExplain = "explain"
	nameChange  = "change"
	nameCold    = "cold"
	nameRestart = "restart"
	nameCrash   = "crash"
)

// Names are the figures that can be asked for.
func Names() []string {
	return []string{
		nameQ1, nameNoRegion, nameCountry, nameQ2, nameQ4, nameQ5, nameQ6, nameQ7, nameQ8, nameExplain, nameChange, nameCold, nameRestart, nameCrash,
	}
}

const (
	aboutQ1       = "count: " + midRegion + ", age 25-34, directors"
	aboutQ2       = "count: Q1, female, in 5 %, not in 10 %, ads consent"
	aboutQ5       = "all counts of Q2's narrowing"
	aboutQ4       = "list: age 18-34, income 30-60k, e-mail consent"
	aboutNoRegion = "count: directors in a 5 % segment"
	aboutCountry  = "count: " + country + ", age 25-34, directors"
	aboutQ6       = "5 % segment by region, gender, ten age bands"
	aboutQ7       = "190 pairs of 20 segments"
	aboutQ8       = "which of 200 segments hold one profile"
	aboutChange   = "a change of a job level, then Q1 with its token sees it"
	aboutExplain  = "is one profile in Q1, and why"
)

type counter func(context.Context, *campaignv1.CountAudienceRequest) (*campaignv1.CountAudienceResponse, error)

// paths are the two ways to the services' code.
func (r *running) counters() map[string]counter {
	return map[string]counter{
		PathGRPC: func(ctx context.Context, req *campaignv1.CountAudienceRequest) (*campaignv1.CountAudienceResponse, error) {
			return r.audiences.CountAudience(ctx, req)
		},
		PathInside: r.inside.audiences.CountAudience,
	}
}

// counting asks for a count and compares it.
func counting(name, about, path, question string, q question, ask counter) *op {
	req := &campaignv1.CountAudienceRequest{Audience: q.ref()}
	return &op{name: name, about: about, path: path, do: func(ctx context.Context) (check, error) {
		res, err := ask(ctx, req)
		return func(t *truth) (int64, bool) { return res.GetCount(), res.GetCount() == t.total(question) }, err
	}}
}

// ops are the questions of one life of the suite.
func (w *world) ops() (ops []*op, missing []Figure) {
	add := func(o *op) {
		if w.opts.wants(o.name) {
			ops = append(ops, o)
		}
	}
	counters := w.counters()
	for _, path := range []string{PathGRPC, PathInside} {
		ask := counters[path]
		add(counting(nameQ1, aboutQ1, path, nameQ1, q1, ask))
		add(counting(nameNoRegion, aboutNoRegion, path, nameNoRegion, qNoRegion, ask))
		add(counting(nameCountry, aboutCountry, path, nameCountry, qCountry, ask))
		add(counting(nameQ2, aboutQ2, path, nameQ2, q2, ask))
		add(narrowing(path, ask))
	}
	add(listing(PathGRPC, w.listRemote))
	add(listing(PathInside, w.listInside))
	add(breaking(PathGRPC, func(ctx context.Context, req *segmentv1.BreakdownSegmentRequest) (*segmentv1.BreakdownSegmentResponse, error) {
		return w.insight.BreakdownSegment(ctx, req)
	}))
	add(breaking(PathInside, w.inside.insight.BreakdownSegment))
	add(pairing(PathGRPC, counters[PathGRPC]))
	add(w.explaining())
	if w.opts.wants(nameQ7) {
		missing = append(missing, notBuilt(nameQ7, aboutQ7, "no RPC takes several segments at once (InsightService.Overlap)"))
	}
	if w.opts.wants(nameQ8) {
		missing = append(missing, notBuilt(nameQ8, aboutQ8, "no RPC says which segments hold a profile (LookupService)"))
	}
	return ops, missing
}

// narrowing is Q5. Today a count always comes with its narrowing, so it is the call of Q2 with all its counts compared.
func narrowing(path string, ask counter) *op {
	req := &campaignv1.CountAudienceRequest{Audience: q2.ref()}
	return &op{name: nameQ5, about: aboutQ5, path: path, note: "the same call as Q2", do: func(ctx context.Context) (check, error) {
		res, err := ask(ctx, req)
		return func(t *truth) (int64, bool) {
			var counts []int64
			for _, s := range res.GetSteps() {
				counts = append(counts, s.GetCount())
			}
			return res.GetCount(), slices.Equal(counts, t.narrowing[nameQ2])
		}, err
	}}
}

// listing is Q4: all uids are received; whether they are the right ones is looked at afterwards.
func listing(path string, list func(context.Context, *campaignv1.StreamMembersRequest) ([][]byte, error)) *op {
	req := &campaignv1.StreamMembersRequest{Audience: q4.ref()}
	return &op{name: nameQ4, about: aboutQ4, path: path, unit: "uids", do: func(ctx context.Context) (check, error) {
		pages, err := list(ctx, req)
		return func(t *truth) (int64, bool) {
			n, sealed := int64(0), uint64(0)
			for _, page := range pages {
				for ; len(page) >= len(audience.UID{}); page = page[len(audience.UID{}):] {
					sealed ^= seal(audience.UID(page))
					n++
				}
			}
			return n, n == t.total(nameQ4) && sealed == t.seal
		}, err
	}}
}

var errIncomplete = errors.New("the stream ended without saying that this was all")

func (w *world) listRemote(ctx context.Context, req *campaignv1.StreamMembersRequest) (pages [][]byte, err error) {
	return receiveAll(ctx, w.audiences, req)
}

// receiveAll only receives.
func receiveAll(ctx context.Context, from campaignv1.AudienceServiceClient, req *campaignv1.StreamMembersRequest) (pages [][]byte, err error) {
	stream, err := from.StreamMembers(ctx, req)
	if err != nil {
		return nil, err
	}
	complete := false
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		pages, complete = append(pages, msg.GetUids()), complete || msg.GetComplete()
	}
	if !complete {
		return nil, errIncomplete
	}
	return pages, nil
}

// taker is a member stream without a wire. A message may be used again by its sender, so its uids are copied, as a wire does.
type taker struct {
	ctx      context.Context
	pages    [][]byte
	complete bool
}

var _ grpc.ServerStreamingServer[campaignv1.StreamMembersResponse] = (*taker)(nil)

// Send implements grpc.ServerStreamingServer.
func (t *taker) Send(m *campaignv1.StreamMembersResponse) error {
	t.pages, t.complete = append(t.pages, slices.Clone(m.GetUids())), t.complete || m.GetComplete()
	return nil
}

// Context implements grpc.ServerStream.
func (t *taker) Context() context.Context { return t.ctx }

// SetHeader implements grpc.ServerStream.
func (t *taker) SetHeader(metadata.MD) error { return nil }

// SendHeader implements grpc.ServerStream.
func (t *taker) SendHeader(metadata.MD) error { return nil }

// SetTrailer implements grpc.ServerStream.
func (t *taker) SetTrailer(metadata.MD) {}

// SendMsg implements grpc.ServerStream, for a sender that does not use Send.
func (t *taker) SendMsg(m any) error {
	msg, ok := m.(*campaignv1.StreamMembersResponse)
	if !ok {
		return errors.New("a member stream sends members")
	}
	return t.Send(msg)
}

// RecvMsg implements grpc.ServerStream.
func (t *taker) RecvMsg(any) error { return io.EOF }

func (w *world) listInside(ctx context.Context, req *campaignv1.StreamMembersRequest) ([][]byte, error) {
	t := &taker{ctx: ctx}
	if err := w.inside.audiences.StreamMembers(req, t); err != nil {
		return nil, err
	}
	if !t.complete {
		return nil, errIncomplete
	}
	return t.pages, nil
}

// breaking is what there is of Q6.
func breaking(path string, ask func(context.Context, *segmentv1.BreakdownSegmentRequest) (*segmentv1.BreakdownSegmentResponse, error)) *op {
	const all = 1000
	req := &segmentv1.BreakdownSegmentRequest{
		Subject: &segmentv1.BreakdownSegmentRequest_Segment{Segment: segments[segment5].name()},
		Dimensions: []*segmentv1.BreakdownSegmentRequest_Dimension{
			{Attribute: audience.AttrRegion, Limit: all}, {Attribute: audience.AttrGender, Limit: all}, {Attribute: audience.AttrBirthDate, Bounds: ageBounds, Limit: all},
		},
	}
	return &op{name: nameQ6, about: aboutQ6, path: path, note: "three breakdowns side by side: no RPC crosses them", do: func(ctx context.Context) (check, error) {
		res, err := ask(ctx, req)
		return func(t *truth) (int64, bool) { return res.GetCount(), brokenRight(res, t) }, err
	}}
}

// brokenRight compares every bucket.
func brokenRight(res *segmentv1.BreakdownSegmentResponse, t *truth) bool {
	d := res.GetDistributions()
	if len(d) != 3 || res.GetCount() != t.segments[segment5] || len(d[2].GetBuckets()) != len(ageBounds)+1 {
		return false
	}
	ok := d[1].GetMissingCount() == t.genders[0] && d[2].GetMissingCount() == t.bands[len(ageBounds)+1]
	left := len(t.regions)
	for _, b := range d[0].GetBuckets() {
		if b.GetCount() > 0 {
			left--
		}
		ok = ok && b.GetCount() == t.regions[b.GetValue()]
	}
	for _, n := range t.regions {
		if n == 0 {
			left-- // nobody is there: no bucket has to say so
		}
	}
	for _, b := range d[1].GetBuckets() {
		ok = ok && b.GetCount() == t.genders[indexOf(audience.Genders, b.GetValue())]
	}
	for i, b := range d[2].GetBuckets() {
		ok = ok && b.GetCount() == t.bands[i]
	}
	return ok && left == 0
}

// pairing asks Q7 as one count for each pair: what a caller has to do without a better RPC.
func pairing(path string, ask counter) *op {
	var reqs []*campaignv1.CountAudienceRequest
	for b := range paired {
		for a := range b {
			q := question(inSegments([]int{paired[a], paired[b]}, nil))
			reqs = append(reqs, &campaignv1.CountAudienceRequest{Audience: q.ref()})
		}
	}
	return &op{name: nameQ7, about: aboutQ7, path: path, note: "190 counts, one after the other", do: func(ctx context.Context) (check, error) {
		counts := make([]int64, len(reqs))
		for i, req := range reqs {
			res, err := ask(ctx, req)
			if err != nil {
				return nil, err
			}
			counts[i] = res.GetCount()
		}
		return func(t *truth) (sum int64, ok bool) {
			ok = true
			i := 0
			for b := range paired {
				for a := range b {
					ok = ok && counts[i] == t.pairs[a][b]
					sum += counts[i]
					i++
				}
			}
			return sum, ok
		}, nil
	}}
}

// explaining asks of one person after the other, spread over the crowd, whether they are in Q1.
func (w *world) explaining() *op {
	next := uint64(0)
	return &op{name: nameExplain, about: aboutExplain, path: PathGRPC, do: func(ctx context.Context) (check, error) {
		rank := int(mix(next) % uint64(w.crowd.n))
		next++
		res, err := w.audiences.ExplainProfile(ctx, &campaignv1.ExplainProfileRequest{Audience: q1.ref(), Profile: w.name(rank)})
		return func(t *truth) (int64, bool) {
			p := w.crowd.at(rank, true)
			all, ok := true, len(res.GetSteps()) == len(q1)
			for i, s := range res.GetSteps() {
				in := ok && q1[i].holds(&p, t.on)
				all = all && in
				ok = ok && in == (s.GetVerdict() == campaignv1.ExplainProfileResponse_VERDICT_TRUE)
			}
			return 1, ok && all == res.GetMember()
		}, err
	}}
}

// verifySegments counts every segment once and compares.
func (w *world) verifySegments(ctx context.Context) *op {
	ask := w.counters()[PathGRPC]
	o := &op{name: "segments", path: PathGRPC, about: "each of the 200 segments, counted one by one", do: func(ctx context.Context) (check, error) {
		var counts [segmentCount]int64
		for k := range segments {
			res, err := ask(ctx, &campaignv1.CountAudienceRequest{Audience: question(inSegments([]int{k}, nil)).ref()})
			if err != nil {
				return nil, err
			}
			counts[k] = res.GetCount()
		}
		return func(t *truth) (sum int64, ok bool) {
			for _, n := range counts {
				sum += n
			}
			return sum, counts == t.segments
		}, nil
	}}
	return o
}

// since asks for an answer that is not older than a token.
func since(token string) *typev1.Consistency {
	return &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token}}
}
