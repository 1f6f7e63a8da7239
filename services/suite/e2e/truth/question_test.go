package truth_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// question is a random spec, with segments and personas by name, and the same in the contract's words.
type question struct {
	spec *audience.Spec
	wire *campaignv1.AudienceSpec
}

// ask draws a spec. More than one in a hundred of those drawn at random would hold nobody, so few parts are asked at a time.
func ask(r *rand.Rand, w *twin, segments, personas []string) question {
	sp := audiencetest.Spec(r, w.schema, segments)
	sp.Personas = nil
	if len(personas) > 0 && r.IntN(6) == 0 {
		sp.Personas = []string{personas[r.IntN(len(personas))]}
	}
	if sp.Filter != nil {
		sp.Filter = fit(sp.Filter, w.schema)
	}
	sp.OnePerHousehold = r.IntN(8) == 0
	if r.IntN(4) == 0 {
		day := w.today - 500 + r.Int64N(1000)
		if r.IntN(3) == 0 {
			day = w.today + 1 // a day whose rows are kept already
		}
		sp.AsOf = &day
	}
	return question{sp, wireOf(sp, w.schema)}
}

// wireOf writes a spec in the contract's words.
func wireOf(sp *audience.Spec, s *audience.Schema) *campaignv1.AudienceSpec {
	m := &campaignv1.AudienceSpec{
		Regions: sp.Regions, PostalCodes: sp.PostalCodes, Genders: wire.Genders.ValuesOf(sp.Genders), JobLevels: wire.JobLevels.ValuesOf(sp.JobLevels),
		MinJobLevel: wire.JobLevels.Value(sp.MinJobLevel), Educations: wire.Educations.ValuesOf(sp.Educations),
		MaritalStatuses: wire.MaritalStatuses.ValuesOf(sp.MaritalStatuses), Roles: wire.Roles.ValuesOf(sp.Roles),
		Lifecycles: wire.Lifecycles.ValuesOf(sp.Lifecycles), EmployerIndustries: sp.EmployerIndustries,
		EmployerSizes: wire.EmployerSizes.ValuesOf(sp.EmployerSizes), Interests: sp.Interests,
		AllSegments: sp.AllSegments, AnySegments: sp.AnySegments, ExcludedSegments: sp.ExcludedSegments, Personas: sp.Personas,
		Channel: wire.Channels.Value(sp.Channel), Purposes: wire.Purposes.ValuesOf(sp.Purposes), OnePerHousehold: sp.OnePerHousehold,
	}
	if sp.Age.Min != nil || sp.Age.Max != nil {
		m.Age = &typev1.AgeRange{Min: narrow(sp.Age.Min), Max: narrow(sp.Age.Max)}
	}
	if sp.Income != (audience.MoneyRange{}) {
		m.Income = &typev1.MoneyRange{CurrencyCode: sp.Income.Currency, Min: sp.Income.Min, Max: sp.Income.Max}
	}
	if sp.Filter != nil {
		m.Filter = text(sp.Filter, s)
	}
	if sp.AsOf != nil {
		m.AsOf = wire.DayDate(*sp.AsOf)
	}
	return m
}

func narrow(n *int64) *int32 {
	if n == nil {
		return nil
	}
	short := int32(*n)
	return &short
}

func (q question) String() string {
	return strings.Join(strings.Fields(fmt.Sprint(q.wire)), " ")
}

func (q question) ref() *campaignv1.AudienceRef {
	return &campaignv1.AudienceRef{Audience: &campaignv1.AudienceRef_Spec{Spec: q.wire}}
}
