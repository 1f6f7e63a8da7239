package doctor

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// CountsConfig says what to compare. All of it is needed.
type CountsConfig struct {
	Profiles  profilev1.ProfileServiceClient
	Audiences campaignv1.AudienceServiceClient
	Examples  int
}

// asked are the attributes whose values are counted one by one.
var asked = []string{
	audience.AttrGender, audience.AttrJobLevel, audience.AttrEducation, audience.AttrMaritalStatus, audience.AttrLifecycle, audience.AttrEmployerSize,
}

// Counts compares counts that the services give with those of the store: of everybody, and of each value of some attributes. It is what
// remains where nobody can read the blocks, and finds neither who is missing nor two errors that make up for each other.
func Counts(ctx context.Context, cfg CountsConfig) []Result {
	r := newReport(cfg.Examples, CheckCounts)
	s := sums{maphash.MakeSeed()}
	for round := 1; ; round++ {
		before, err := listen(ctx, cfg.Profiles, s)
		if err != nil {
			return r.fail(err)
		}
		wrong, n, err := cfg.compare(ctx, before)
		if err != nil {
			return r.fail(err)
		}
		after := before
		if len(wrong) > 0 {
			if after, err = listen(ctx, cfg.Profiles, s); err != nil {
				return r.fail(err)
			}
		}
		if after.through != before.through {
			if round < rounds {
				continue
			}
			return r.fail(fmt.Errorf("profiles changed all the time; compare while nobody writes, or read the blocks with --redis"))
		}
		for _, one := range wrong {
			r.differs(CheckCounts, "%s", one)
		}
		r.at(CheckCounts).Note = fmt.Sprintf("%d counts at revision %d; the blocks are in the memory of the segment service, so nothing else can be compared", n, before.through)
		return r.list()
	}
}

func (cfg CountsConfig) compare(ctx context.Context, in *told) (wrong []string, n int, err error) {
	ask := func(what string, want int64, spec *campaignv1.AudienceSpec) error {
		res, err := cfg.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{
			Audience:    &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Spec{Spec: spec}},
			Consistency: &typev1.Consistency{Requirement: &typev1.Consistency_FullyConsistent{FullyConsistent: true}},
		})
		if err != nil {
			return fmt.Errorf("count an audience: %w", err)
		}
		n++
		if got := res.GetCount(); got != want {
			wrong = append(wrong, fmt.Sprintf("%s: the services count %d, the store has %d", what, got, want))
		}
		return nil
	}
	if err := ask("everybody", int64(len(in.people)), &campaignv1.AudienceSpec{}); err != nil {
		return nil, n, err
	}
	for _, f := range slices.Sorted(maps.Keys(in.rows)) {
		p, ok := audience.ParseField(f)
		if !ok || p.Class != audience.ClassFact || !slices.Contains(asked, p.Attr) {
			continue
		}
		if err := ask(p.Attr+" "+p.Value, in.rows[f], &campaignv1.AudienceSpec{Filter: p.Attr + " == " + strconv.Quote(p.Value)}); err != nil {
			return nil, n, err
		}
	}
	return wrong, n, nil
}
