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
	aboutQ8Batch  = "the same of 100 profiles a call, 4 callers with 5 calls each"
	aboutQ8Open   = "the same, begun at a steady pace whatever the answers take"
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
func (w *world) ops() (ops []*op) {
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
	add(breaking(PathGRPC, func(ctx context.Context, req *campaignv1.BreakdownAudienceRequest) (*campaignv1.BreakdownAudienceResponse, error) {
		return w.audiences.BreakdownAudience(ctx, req)
	}))
	add(breaking(PathInside, w.inside.audiences.BreakdownAudience))
	add(overlapping(PathGRPC, func(ctx context.Context, req *campaignv1.OverlapAudiencesRequest) (*campaignv1.OverlapAudiencesResponse, error) {
		return w.audiences.OverlapAudiences(ctx, req)
	}))
	add(overlapping(PathInside, w.inside.audiences.OverlapAudiences))
	lookUp := func(ctx context.Context, req *campaignv1.LookupProfilesRequest) (*campaignv1.LookupProfilesResponse, error) {
		return w.lookup.LookupProfiles(ctx, req)
	}
	add(w.looking(PathGRPC, lookUp))
	add(w.looking(PathInside, w.inside.lookup.LookupProfiles))
	add(w.lookingInBatches(lookUp))
	add(w.explaining())
	return ops
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
	return &op{name: nameQ4, about: aboutQ4, path: path, unit: "uids", least: warm, do: func(ctx context.Context) (check, error) {
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
