package audience_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

func TestEverySchemaHasTheBuiltInAttributes(t *testing.T) {
	t.Parallel()
	s := schema(t, audience.Attribute{Name: "custom.balance", Kind: audience.KindDecimal, Scale: 9})
	for name, kind := range map[string]audience.Kind{
		"birth_date": audience.KindBirth, "gender": audience.KindEnum, "region": audience.KindRegion, "postal_code": audience.KindText,
		"job_level": audience.KindOrdered, "income": audience.KindMoney, "education": audience.KindEnum, "employer.size": audience.KindOrdered,
		"interests": audience.KindTextList, "consent.marketing.any": audience.KindConsent, "consent.data_sharing.in_person": audience.KindConsent,
		"custom.balance": audience.KindDecimal,
	} {
		if a, ok := s.Attribute(name); !ok || a.Kind != kind || !slices.Contains(s.Names(), name) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for name, want := range map[string]audience.Attribute{
		"purchase.first_date": {Kind: audience.KindDate}, "purchase.last_date": {Kind: audience.KindDate}, "purchase.count": {Kind: audience.KindDecimal},
		"purchase.count_30d": {Kind: audience.KindDecimal}, "purchase.count_365d": {Kind: audience.KindDecimal},
		"purchase.sum": {Kind: audience.KindMoney, Scale: 2}, "purchase.sum_90d": {Kind: audience.KindMoney, Scale: 2},
		"purchase.average_basket": {Kind: audience.KindMoney, Scale: 2}, "purchase.favourite_channel": {Kind: audience.KindEnum, Values: audience.Channels},
		"purchase.favourite_brand": {Kind: audience.KindText}, "purchase.favourite_category": {Kind: audience.KindText},
		"purchase.loyalty": {Kind: audience.KindDecimal, Scale: 4}, "survey.satisfaction": {Kind: audience.KindDecimal, Scale: 2},
		"visit.last_date": {Kind: audience.KindDate}, "open.count": {Kind: audience.KindDecimal}, "click.count_30d": {Kind: audience.KindDecimal},
		"response.count_90d": {Kind: audience.KindDecimal}, "complaint.count_365d": {Kind: audience.KindDecimal}, "survey.last_date": {Kind: audience.KindDate},
	} {
		if a, ok := s.Attribute(name); !ok || a.Kind != want.Kind || a.Scale != want.Scale || !slices.Equal(a.Values, want.Values) || a.Revision != 0 {
			t.Errorf("%s: %+v", name, a)
		}
	}
	consents := 0
	for _, n := range s.Names() {
		if strings.HasPrefix(n, audience.AttrConsentPrefix) {
			consents++
		}
	}
	if want := len(audience.Purposes) * (len(audience.Channels) + 1); consents != want {
		t.Errorf("%d consents, want %d", consents, want)
	}
	if a, _ := s.Attribute("income"); a.Scale != 2 {
		t.Errorf("income has scale %d", a.Scale)
	}
	if _, ok := s.Attribute("custom.other"); ok {
		t.Error("an attribute that nobody declared")
	}
}

func TestAttributesThatCannotBeAreRefusedTogether(t *testing.T) {
	t.Parallel()
	const text = audience.KindText
	_, err := audience.NewSchema("EUR", []audience.Attribute{
		{Name: "balance", Kind: text}, {Name: "custom.Balance", Kind: text}, {Name: "custom.", Kind: text}, {Name: "custom.9a", Kind: text},
		{Name: "custom.in", Kind: text}, {Name: "custom." + strings.Repeat("a", 64), Kind: text}, {Name: "custom.a", Kind: text},
		{Name: "custom.a", Kind: text}, {Name: "custom.b", Kind: audience.KindDecimal, Scale: 10}, {Name: "custom.c", Kind: audience.KindBirth},
		{Name: "custom.d", Kind: audience.KindOrdered}, {Name: "custom.e", Kind: text, Values: []string{"x", "x", "", "e\u0301"}},
		{Name: "custom.f", Kind: audience.KindBool, Values: []string{"x"}}, {Name: "custom.g"},
	})
	var fields []string
	for _, v := range fault.As(err).Violations {
		fields = append(fields, v.Field)
	}
	want := []string{"custom[0].name", "custom[1].name", "custom[2].name", "custom[3].name", "custom[4].name", "custom[5].name",
		"custom[7].name", "custom[8].scale", "custom[9].kind", "custom[10].values", "custom[11].values[1]", "custom[11].values[2]",
		"custom[11].values[3]", "custom[12].values", "custom[13].kind"}
	if !slices.Equal(fields, want) {
		t.Errorf("violations\n%v, want\n%v", fields, want)
	}
	for _, currency := range []string{"", "eur", "EURO", "E1R"} {
		if _, err := audience.NewSchema(currency, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("currency %q: %v", currency, err)
		}
	}
}

func TestFactsBecomeRowsAndColumns(t *testing.T) {
	t.Parallel()
	s := schema(t, audience.Attribute{Name: "custom.vip", Kind: audience.KindBool})
	d, err := audience.Derive(s, audience.Facts{
		"gender": {Text: "female"}, "region": {Text: "FR-NAQ"}, "interests": {List: []string{"tea", "tea", "a=b"}}, "needs": {},
		"postal_code": {Text: "40100"}, "birth_date": {Num: 10, Last: 20}, "income": {Num: 5, Currency: "EUR"},
		"consent.marketing.email": {Num: audience.MaxDay}, "custom.vip": {Num: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(d.Rows)
	want := []audience.Field{"f/custom.vip=true", "f/gender=female", "f/interests=a=b", "f/interests=tea", "f/region==FR-NAQ", "f/region=FR",
		"f/region=FR-NAQ", "live", "p/custom.vip", "p/gender", "p/income", "p/interests", "p/needs", "p/region"}
	if !slices.Equal(d.Rows, want) {
		t.Errorf("rows %v, want %v", d.Rows, want)
	}
	slices.SortFunc(d.Columns, func(a, b audience.ColumnValue) int { return strings.Compare(string(a.Field), string(b.Field)) })
	columns := []audience.ColumnValue{{Field: "c/birth_date", Num: 10}, {Field: "c/birth_date.last", Num: 20},
		{Field: "c/consent.marketing.email", Num: audience.MaxDay}, {Field: "c/income:EUR", Num: 5}, {Field: "c/postal_code", Text: "40100", IsText: true}}
	if !slices.Equal(d.Columns, columns) {
		t.Errorf("columns %v, want %v", d.Columns, columns)
	}
	var long []string
	for i := range 100 {
		long = append(long, string(rune('a'+i%20)))
	}
	if d, err := audience.Derive(s, audience.Facts{"interests": {List: long}}); err != nil || len(d.Rows) != 22 {
		t.Errorf("a list of 20 texts five times over gives %d rows, %v", len(d.Rows), err)
	}
}

func TestFactsThatTheSchemaDoesNotAllowAreRefusedWithoutTheirValue(t *testing.T) {
	t.Parallel()
	s := schema(t, audience.Attribute{Name: "custom.code", Kind: audience.KindText, Values: []string{"x"}})
	for name, v := range map[string]audience.Value{
		"gender": {Text: "SECRET"}, "region": {Text: "SECRET"}, "preferred_channels": {List: []string{"SECRET"}}, "custom.code": {Text: "SECRET"},
		"custom.none": {Text: "SECRET"}, "birth_date": {Num: 20, Last: 10}, "income": {Num: 3}, "consent.marketing.email": {Num: audience.MaxDay + 1},
	} {
		_, err := audience.Derive(s, audience.Facts{name: v})
		if fault.KindOf(err) != fault.Invalid || err == nil || fault.As(err).Metadata["attribute"] != name || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFieldsAreParsedBack(t *testing.T) {
	t.Parallel()
	for f, want := range map[audience.Field]audience.FieldParts{
		audience.FieldLive:                             {Class: audience.ClassLive},
		audience.FactField("interests", "a=b"):         {Class: audience.ClassFact, Attr: "interests", Value: "a=b"},
		audience.FactField("interests", "=b"):          {Class: audience.ClassFact, Attr: "interests", Value: "=b"},
		audience.FactField("interests", ""):            {Class: audience.ClassFact, Attr: "interests"},
		audience.ExactField("region", "FR"):            {Class: audience.ClassFact, Attr: "region", Value: "FR", Exact: true},
		audience.PresenceField("employer.size"):        {Class: audience.ClassPresence, Attr: "employer.size"},
		audience.ColumnField("consent.marketing.any"):  {Class: audience.ClassColumn, Attr: "consent.marketing.any"},
		audience.LastField("birth_date"):               {Class: audience.ClassColumn, Attr: "birth_date", Last: true},
		audience.MoneyField("income", "EUR"):           {Class: audience.ClassColumn, Attr: "income", Currency: "EUR"},
		audience.SegmentField("0192-uid", 7):           {Class: audience.ClassSegment, Segment: "0192-uid", RuleState: 7},
		audience.SegmentDayField("0192-uid", 7, 20000): {Class: audience.ClassSegment, Segment: "0192-uid", RuleState: 7, Dated: true, Day: 20000},
	} {
		if got, ok := audience.ParseField(f); !ok || got != want {
			t.Errorf("%s: %+v, %v", f, got, ok)
		}
	}
	for _, f := range []audience.Field{"", "meta", "u/3", "f/x", "f/=x", "s/x", "s/x@y", "s/@3", "s/x@3@", "c/"} {
		if got, ok := audience.ParseField(f); ok {
			t.Errorf("%q is parsed as %+v", f, got)
		}
	}
}
