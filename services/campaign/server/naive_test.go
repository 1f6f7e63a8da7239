package server_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/campaign/internal/indextest"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// filters without consents, which may be asked for another day too.
var filters = []string{
	`custom.vip || custom.score > 0.01`,
	`!("cycling" in interests) && has(custom.note)`,
	`segment("nested") || age() < 1`,
	`!(age() >= 1)`,
	`!(gender == "female") && !segment("segments/list")`,
}

// question is a random spec, in the engine's terms and in the wire's.
type question struct {
	spec *audience.Spec
	wire *campaignv1.AudienceSpec
	day  int64
}

func randomQuestion(t *testing.T, r *rand.Rand, x *indextest.Index) question {
	t.Helper()
	var uids []string
	names := make(map[string]string)
	for _, s := range x.Segments {
		uids = append(uids, s.UID)
		names[s.UID] = s.Name
	}
	sp := audiencetest.Spec(r, x.Schema, uids)
	q := question{spec: sp, day: x.Today}
	sp.Filter, sp.Personas = nil, nil
	q.wire = &campaignv1.AudienceSpec{
		Regions: sp.Regions, PostalCodes: sp.PostalCodes, Genders: wire.Genders.ValuesOf(sp.Genders), JobLevels: wire.JobLevels.ValuesOf(sp.JobLevels),
		MinJobLevel: wire.JobLevels.Value(sp.MinJobLevel), Educations: wire.Educations.ValuesOf(sp.Educations),
		MaritalStatuses: wire.MaritalStatuses.ValuesOf(sp.MaritalStatuses), Roles: wire.Roles.ValuesOf(sp.Roles), Lifecycles: wire.Lifecycles.ValuesOf(sp.Lifecycles),
		EmployerIndustries: sp.EmployerIndustries, EmployerSizes: wire.EmployerSizes.ValuesOf(sp.EmployerSizes), Interests: sp.Interests,
		Channel: wire.Channels.Value(sp.Channel), Purposes: wire.Purposes.ValuesOf(sp.Purposes),
	}
	for _, p := range []struct{ from, to *[]string }{
		{&sp.AllSegments, &q.wire.AllSegments}, {&sp.AnySegments, &q.wire.AnySegments}, {&sp.ExcludedSegments, &q.wire.ExcludedSegments},
	} {
		for _, uid := range *p.from {
			*p.to = append(*p.to, names[uid])
		}
	}
	if sp.Age.Min != nil || sp.Age.Max != nil {
		q.wire.Age = &typev1.AgeRange{Min: narrow(sp.Age.Min), Max: narrow(sp.Age.Max)}
	}
	if sp.Income != (audience.MoneyRange{}) {
		q.wire.Income = &typev1.MoneyRange{CurrencyCode: sp.Income.Currency, Min: sp.Income.Min, Max: sp.Income.Max}
	}
	if r.IntN(6) == 0 {
		sp.Personas, q.wire.Personas = []string{"uid-persona-p"}, []string{"personas/p"}
	}
	if r.IntN(3) == 0 {
		q.wire.Filter = filters[r.IntN(len(filters))]
		c, err := rule.Compile(q.wire.Filter, x.Schema, x.Resolve)
		if err != nil {
			t.Fatal(err)
		}
		sp.Filter = c.Pred
	}
	if r.IntN(3) == 0 {
		q.day = x.Today - 500 + r.Int64N(1000)
		if r.IntN(4) == 0 {
			q.day = x.Today + 1 // a day of which there are rows, with that day's consents
		}
		sp.AsOf, q.wire.AsOf = &q.day, wire.DayDate(q.day)
	}
	sp.OnePerHousehold = r.IntN(4) == 0
	q.wire.OnePerHousehold = sp.OnePerHousehold
	return q
}

func narrow(n *int64) *int32 {
	if n == nil {
		return nil
	}
	return proto.Int32(int32(*n))
}

// naive is the answer by the plain loop: how many remain after each step, who is left, and each one's verdicts.
type naive struct {
	parts    []string
	counts   []int64
	members  []audience.UID
	verdicts map[audience.UID][]audience.Tri
}

func judge(t *testing.T, x *indextest.Index, q question) naive {
	t.Helper()
	steps, err := q.spec.Steps(x.Schema)
	if err != nil {
		t.Fatal(err)
	}
	n := naive{parts: []string{"everyone"}, counts: make([]int64, len(steps)+1), verdicts: make(map[audience.UID][]audience.Tri)}
	for _, s := range steps {
		n.parts = append(n.parts, s.Part)
	}
	households := make(map[string]bool)
	for _, p := range x.People { // by block and ordinal
		n.counts[0]++
		in := true
		for i, s := range steps {
			v := x.Truth(p, s.Pred, q.day)
			n.verdicts[p.UID] = append(n.verdicts[p.UID], v)
			if in = in && v == audience.True; in {
				n.counts[i+1]++
			}
		}
		if q.spec.OnePerHousehold && in {
			if h, ok := p.Facts[audience.AttrHousehold]; ok {
				in = !households[h.Text]
				households[h.Text] = true
			}
		}
		if in {
			n.members = append(n.members, p.UID)
		}
		if q.spec.OnePerHousehold {
			n.verdicts[p.UID] = append(n.verdicts[p.UID], audience.TriOf(in))
		}
	}
	if q.spec.OnePerHousehold {
		n.parts = append(n.parts, "one_per_household")
		n.counts = append(n.counts, int64(len(n.members)))
	}
	return n
}

func TestRandomSpecsAnswerAsThePlainLoopDoes(t *testing.T) {
	for seed := range uint64(2) {
		x := indextest.New(t, seed, 700, 3, someSegments()...)
		s := start(t, x, nil).ready()
		r := rand.New(rand.NewPCG(seed, 77))
		populated := 0
		for i := range 100 {
			q := randomQuestion(t, r, x)
			want := judge(t, x, q)
			if len(want.members) > 0 {
				populated++
			}
			got, err := s.count(q.wire)
			if err != nil {
				t.Fatalf("question %d: %v: %v", i, q.wire, err)
			}
			var parts []string
			var counts []int64
			for _, st := range got.GetSteps() {
				parts, counts = append(parts, st.GetPart()), append(counts, st.GetCount())
				if st.GetLabel() == "" {
					t.Errorf("question %d: a step without a label", i)
				}
			}
			if !slices.Equal(parts, want.parts) || !slices.Equal(counts, want.counts) || got.GetCount() != counts[len(counts)-1] {
				t.Fatalf("question %d: %v:\n got %v %v\nwant %v %v", i, q.wire, parts, counts, want.parts, want.counts)
			}
			members, err := s.stream(&campaignv1.StreamMembersRequest{Audience: stated(q.wire)})
			if err != nil {
				t.Fatalf("question %d: %v: %v", i, q.wire, err)
			}
			if !slices.Equal(members.uids, want.members) || members.last().GetSent() != int64(len(want.members)) || !members.last().GetComplete() {
				t.Fatalf("question %d: %v: %d members, want %d", i, q.wire, len(members.uids), len(want.members))
			}
			for range 3 {
				explained(s, q, x.People[r.IntN(len(x.People))], want, fmt.Sprint("question ", i))
			}
		}
		if populated < 20 {
			t.Errorf("only %d of the questions have members: little was tested", populated)
		}
	}
}

func explained(s *suite, q question, p *indextest.Person, want naive, at string) {
	s.Helper()
	e, err := s.audiences.ExplainProfile(s.Context(), &campaignv1.ExplainProfileRequest{Audience: stated(q.wire), Profile: wire.ProfileName(p.UID)})
	if err != nil {
		s.Fatalf("%s: %v", at, err)
	}
	if e.GetMember() != slices.Contains(want.members, p.UID) {
		s.Errorf("%s: explained member %v", at, e.GetMember())
	}
	var got []audience.Tri
	for _, st := range e.GetSteps() {
		v, ok := map[campaignv1.ExplainProfileResponse_Verdict]audience.Tri{
			campaignv1.ExplainProfileResponse_VERDICT_FALSE: audience.False, campaignv1.ExplainProfileResponse_VERDICT_TRUE: audience.True,
			campaignv1.ExplainProfileResponse_VERDICT_UNKNOWN: audience.Unknown,
		}[st.GetVerdict()]
		if !ok {
			s.Errorf("%s: verdict %v", at, st.GetVerdict())
		}
		got = append(got, v)
	}
	if !slices.Equal(got, want.verdicts[p.UID]) {
		s.Errorf("%s: %v: verdicts %v, want %v", at, q.wire, got, want.verdicts[p.UID])
	}
}
