package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

func (p *play) step(s *step) {
	p.t.Helper()
	switch {
	case !s.Who.IsZero():
		p.who(s)
	case !s.Explain.IsZero():
		p.explain(s)
	case s.Call != "":
		p.call(s)
	default:
		p.t.Fatalf("line %d: a step is one of who, explain and call", s.line)
	}
}

func (p *play) ref(n *yaml.Node) *campaignv1.AudienceRef {
	p.t.Helper()
	ref := &campaignv1.AudienceRef{}
	p.must(p.compact().message(ref, n))
	return ref
}

func (p *play) saveAudience(id string, spec *yaml.Node) {
	p.t.Helper()
	ref := p.ref(spec)
	p.do(p.Audiences.CreateAudience(p.ctx, &campaignv1.CreateAudienceRequest{
		AudienceId: id, Audience: &campaignv1.Audience{Spec: ref.GetSpec()},
	}))
}

// who asks an audience in every way and holds the answers against the file and against each other.
func (p *play) who(s *step) {
	p.t.Helper()
	ref := p.ref(&s.Who)
	count, err := p.Audiences.CountAudience(p.ctx, &campaignv1.CountAudienceRequest{Audience: ref})
	p.outcome(s, "count", err)
	members, streamErr := p.members(ref)
	p.outcome(s, "members", streamErr)
	if s.Error != nil {
		return
	}
	narrowing := p.narrowing(count)
	p.say("%d who: %v %d %s", s.line, members, count.GetCount(), narrowing)

	size := len(s.Are)
	if s.Size != nil {
		size = *s.Size
	} else if want := slices.Sorted(slices.Values(s.Are)); !slices.Equal(members, want) {
		p.t.Errorf("line %d: the members are %v; want %v (%s)\n%s", s.line, members, want, s.Why, narrowing)
	}
	if len(members) != size || count.GetCount() != int64(size) {
		p.t.Errorf("line %d: %d are counted and %d streamed; want %d (%s)\n%s", s.line, count.GetCount(), len(members), size, s.Why, narrowing)
	}
	if steps := count.GetSteps(); len(steps) == 0 || steps[0].GetPart() != "everyone" || steps[len(steps)-1].GetCount() != count.GetCount() {
		p.t.Errorf("line %d: the narrowing does not lead from everyone to the count: %s", s.line, narrowing)
	}
	if !s.Narrowing.IsZero() {
		var want []string
		for part, n := range pairs(p.t, &s.Narrowing) {
			want = append(want, part+" "+n.Value)
		}
		var got []string
		for _, st := range count.GetSteps() {
			got = append(got, fmt.Sprint(st.GetPart(), " ", st.GetCount()))
		}
		if !slices.Equal(got, want) {
			p.t.Errorf("line %d: the narrowing is %q; want %q (%s)", s.line, got, want, s.Why)
		}
	}
	if s.Size == nil {
		p.judged(s, ref, members)
	}
}

// judged explains every profile: it must be a member exactly if it was streamed.
func (p *play) judged(s *step, ref *campaignv1.AudienceRef, members []string) {
	p.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(p.profiles)) {
		res, err := p.Audiences.ExplainProfile(p.ctx, &campaignv1.ExplainProfileRequest{Audience: ref, Profile: p.profiles[name]})
		if err != nil {
			if slices.Contains(members, name) {
				p.t.Errorf("line %d: explain %s: %v", s.line, name, err)
			}
			continue // deleted
		}
		if res.GetMember() != slices.Contains(members, name) {
			p.t.Errorf("line %d: explain says member=%v of %s; the stream says %v", s.line, res.GetMember(), name, members)
		}
	}
}

// members streams an audience and returns the file's names, sorted.
func (p *play) members(ref *campaignv1.AudienceRef) ([]string, error) {
	names := map[string]string{}
	for name, full := range p.profiles {
		names[full] = name
	}
	stream := p.Members(p.ctx, &campaignv1.StreamMembersRequest{
		Audience: ref, Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_AtLeastAsFresh{AtLeastAsFresh: p.Token()}},
	})
	list := []string{}
	for uid, err := range stream.All() {
		if err != nil {
			return nil, err
		}
		name, ok := names["profiles/"+uid.String()]
		if !ok {
			return nil, fmt.Errorf("a member that the scenario does not know: %s", uid)
		}
		list = append(list, name)
	}
	slices.Sort(list)
	return list, nil
}

func (p *play) narrowing(res *campaignv1.CountAudienceResponse) string {
	var b strings.Builder
	for _, st := range res.GetSteps() {
		fmt.Fprintf(&b, "[%s %q %d]", st.GetPart(), st.GetLabel(), st.GetCount())
	}
	return b.String()
}

// explain asks why one profile is in an audience.
func (p *play) explain(s *step) {
	p.t.Helper()
	res, err := p.Audiences.ExplainProfile(p.ctx, &campaignv1.ExplainProfileRequest{Audience: p.ref(&s.Explain), Profile: p.profile(s.Of)})
	p.outcome(s, "explain", err)
	if err != nil || s.Error != nil {
		return
	}
	var got, want []string
	for _, st := range res.GetSteps() {
		verdict := strings.ToLower(strings.TrimPrefix(st.GetVerdict().String(), "VERDICT_"))
		got = append(got, st.GetPart()+" "+verdict)
		p.say("%d explain: %s %q %s", s.line, st.GetPart(), st.GetLabel(), verdict)
	}
	for part, n := range pairs(p.t, &s.Verdicts) {
		want = append(want, part+" "+n.Value)
	}
	if !slices.Equal(got, want) || res.GetMember() != s.Member {
		p.t.Errorf("line %d: %s is explained by member=%v %q; want member=%v %q (%s)", s.line, s.Of, res.GetMember(), got, s.Member, want, s.Why)
	}
}

// answer compares some fields of an answer, by their paths in the contract's JSON form: evidence.sample_size, buckets[0].count.
func (p *play) answer(s *step, m proto.Message) {
	p.t.Helper()
	if s.Answer.IsZero() {
		return
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
	p.must(err)
	var doc any
	p.must(json.Unmarshal(text, &doc))
	for path, n := range pairs(p.t, &s.Answer) {
		got, err := walk(doc, path)
		p.must(at(n, err))
		want, err := p.compact().text(n)
		p.must(err)
		p.say("%d %s.%s = %v", s.line, s.Call, path, got)
		if fmt.Sprint(got) != want {
			p.t.Errorf("line %d: %s.%s is %v; want %v (%s)", n.Line, s.Call, path, got, want, s.Why)
		}
	}
}

// walk follows a path such as distributions[0].buckets[1].count.
func walk(doc any, path string) (any, error) {
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		switch at := doc.(type) {
		case map[string]any:
			next, ok := at[part]
			if !ok {
				return nil, fmt.Errorf("the answer has no %s in %s", part, path)
			}
			doc = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(at) {
				return nil, fmt.Errorf("the answer has no element %s in %s", part, path)
			}
			doc = at[i]
		default:
			return nil, fmt.Errorf("the answer ends before %s in %s", part, path)
		}
	}
	return doc, nil
}
