package profile_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
)

// today is 2026-03-01, which is a day after 28 February in a common year.
var today = audience.DayOf(2026, 3, 1)

func day(y, m, d int64) *profile.Interval {
	n := audience.DayOf(y, m, d)
	return &profile.Interval{First: n, Last: n}
}

func year(y int64) *profile.Interval {
	return &profile.Interval{First: audience.DayOf(y, 1, 1), Last: audience.DayOf(y, 12, 31)}
}

func number(n int64) *int64 { return &n }

func TestPlausibility(t *testing.T) {
	at := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 12, 0, 0, 0, time.UTC) }
	granted := func(decided time.Time, expires *int64) []profile.Consent {
		return []profile.Consent{{Purpose: "marketing", Status: "granted", Decided: decided, Expires: expires}}
	}
	euros := func(amount int64) *profile.Money { return &profile.Money{Currency: "EUR", Amount: amount} }
	for name, c := range map[string]struct {
		p    profile.Profile
		want string // codes and fields
	}{
		"nothing known":   {profile.Profile{}, ""},
		"ordinary person": {profile.Profile{BirthDate: day(1980, 5, 6), JobLevel: "director", MaritalStatus: "married", Income: euros(50_000_00), Region: "FR-40", PostalCode: "40100"}, ""},

		"born in 1893":                 {profile.Profile{BirthDate: year(1893)}, "BIRTH_DATE_TOO_EARLY birth_date"},
		"110 years old":                {profile.Profile{BirthDate: day(1915, 3, 2)}, ""},
		"111 years old today":          {profile.Profile{BirthDate: day(1915, 3, 1)}, "BIRTH_DATE_TOO_EARLY birth_date"},
		"perhaps 111 years old":        {profile.Profile{BirthDate: year(1915)}, ""},
		"born tomorrow":                {profile.Profile{BirthDate: day(2026, 3, 2)}, "BIRTH_DATE_IN_FUTURE birth_date"},
		"born today":                   {profile.Profile{BirthDate: day(2026, 3, 1)}, ""},
		"born this year":               {profile.Profile{BirthDate: year(2026)}, ""},
		"born in future with a job":    {profile.Profile{BirthDate: year(2030), JobLevel: "cxo", MaritalStatus: "married"}, "BIRTH_DATE_IN_FUTURE birth_date"},
		"12 and a manager":             {profile.Profile{BirthDate: day(2013, 3, 2), JobLevel: "manager"}, "JOB_LEVEL_BELOW_WORKING_AGE job_level"},
		"13 today and a manager":       {profile.Profile{BirthDate: day(2013, 3, 1), JobLevel: "manager"}, ""},
		"12 and in training":           {profile.Profile{BirthDate: day(2014, 1, 1), JobLevel: "training"}, ""},
		"12 and a volunteer":           {profile.Profile{BirthDate: day(2014, 1, 1), JobLevel: "unpaid"}, ""},
		"perhaps 12":                   {profile.Profile{BirthDate: year(2013), JobLevel: "manager"}, ""},
		"born on 29 February, 16":      {profile.Profile{BirthDate: day(2012, 2, 29), MaritalStatus: "single"}, ""},
		"15 and married":               {profile.Profile{BirthDate: day(2010, 3, 2), MaritalStatus: "married"}, "MARITAL_STATUS_BELOW_MARRIAGE_AGE marital_status"},
		"15 and widowed":               {profile.Profile{BirthDate: day(2011, 1, 1), MaritalStatus: "widowed"}, "MARITAL_STATUS_BELOW_MARRIAGE_AGE marital_status"},
		"15 and cohabiting":            {profile.Profile{BirthDate: day(2011, 1, 1), MaritalStatus: "cohabiting"}, ""},
		"16 today and married":         {profile.Profile{BirthDate: day(2010, 3, 1), MaritalStatus: "married"}, ""},
		"15 with a doctorate":          {profile.Profile{BirthDate: day(2011, 1, 1), Education: "doctorate"}, "EDUCATION_BELOW_AGE education"},
		"15 at secondary school":       {profile.Profile{BirthDate: day(2011, 1, 1), Education: "secondary"}, ""},
		"a birth date that is refused": {profile.Profile{BirthDate: &profile.Interval{First: 5, Last: 1}, JobLevel: "owner"}, ""},

		"income 0":             {profile.Profile{Income: euros(0)}, "INCOME_ZERO income.amount"},
		"negative income":      {profile.Profile{Income: euros(-1)}, "INCOME_NEGATIVE income.amount"},
		"100 million":          {profile.Profile{Income: euros(100_000_000_00)}, ""},
		"above 100 million":    {profile.Profile{Income: euros(100_000_000_01)}, "INCOME_TOO_HIGH income.amount"},
		"200 million in Hanoi": {profile.Profile{Income: &profile.Money{Currency: "VND", Amount: 200_000_000_00}}, ""},

		"decided next week":            {profile.Profile{Consents: granted(at(2026, 3, 8), nil)}, "CONSENT_DECIDED_IN_FUTURE consents[0].decide_time"},
		"decided tomorrow, elsewhere":  {profile.Profile{Consents: granted(at(2026, 3, 2), nil)}, ""},
		"decided in 1970":              {profile.Profile{Consents: granted(at(1970, 1, 1), nil)}, "CONSENT_DECIDED_TOO_EARLY consents[0].decide_time"},
		"decided in 1995":              {profile.Profile{Consents: granted(at(1995, 1, 1), nil)}, ""},
		"decided before birth":         {profile.Profile{BirthDate: day(2000, 1, 1), Consents: granted(at(1999, 12, 31), nil)}, "CONSENT_DECIDED_BEFORE_BIRTH consents[0].decide_time"},
		"expired before decided":       {profile.Profile{Consents: granted(at(2020, 1, 2), number(audience.DayOf(2020, 1, 2)))}, "CONSENT_EXPIRES_BEFORE_DECISION consents[0].expire_date"},
		"expires the day after":        {profile.Profile{Consents: granted(at(2020, 1, 2), number(audience.DayOf(2020, 1, 3)))}, ""},
		"expired since":                {profile.Profile{Consents: granted(at(2020, 1, 2), number(audience.DayOf(2021, 1, 2)))}, ""},
		"denied, with an expiry":       {profile.Profile{Consents: []profile.Consent{{Status: "denied", Decided: at(2020, 1, 2), Expires: number(0)}}}, ""},
		"nobody knows when decided":    {profile.Profile{Consents: granted(time.Time{}, number(0))}, ""},
		"second consent is named":      {profile.Profile{Consents: append(granted(at(2020, 1, 1), nil), granted(at(1980, 1, 1), nil)...)}, "CONSENT_DECIDED_TOO_EARLY consents[1].decide_time"},
		"several things, in order":     {profile.Profile{BirthDate: day(2013, 3, 2), JobLevel: "cxo", Income: euros(0), Region: "DE", PostalCode: "1067"}, "JOB_LEVEL_BELOW_WORKING_AGE job_level; POSTAL_CODE_NOT_OF_COUNTRY postal_code; INCOME_ZERO income.amount"},
		"a postal code without region": {profile.Profile{PostalCode: "!!"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range profile.Plausibility(&c.p, today) {
				got = append(got, w.Code+" "+w.Field)
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
	if got := profile.Plausibility(nil, today); got != nil {
		t.Errorf("no profile: %v", got)
	}
}

func TestPostalCodes(t *testing.T) {
	for _, c := range []struct{ region, code, want string }{
		{"US-CA", "94103", ""}, {"US", "94103-1234", ""}, {"US", "941031234", ""}, {"US", "9410", "COUNTRY"}, {"US", "SW1A 1AA", "COUNTRY"},
		{"DE-BE", "10115", ""}, {"DE", "DE-10115", ""}, {"DE", "1067", "COUNTRY"}, {"DE", "101155", "COUNTRY"}, {"DE", "1O115", "COUNTRY"},
		{"FR", "75001", ""}, {"FR", "75 001", ""}, {"FR", "1000", "COUNTRY"}, {"FR-40", "40100", ""}, {"FR-40", "41000", "REGION"}, {"FR-01", "01000", ""},
		{"FR-2A", "20000", ""}, {"FR-2B", "20200", ""}, {"FR-20R", "20200", ""}, {"FR-2A", "13001", "REGION"}, {"FR-974", "97400", ""}, {"FR-974", "97100", "REGION"},
		{"FR-NAQ", "13001", ""}, {"FR-GP", "97100", ""}, {"FR-75", "75 008", ""}, {"FR-75", "7500", "COUNTRY"},
		{"GB", "SW1A 1AA", ""}, {"GB-LND", "ec1a1bb", ""}, {"GB", "M1 1AE", ""}, {"GB", "B33 8TH", ""}, {"GB", "CR2 6XH", ""}, {"GB", "DN55 1PT", ""},
		{"GB", "GIR 0AA", ""}, {"GB", "W1A 0AX", ""}, {"GB", "SW1A", "COUNTRY"}, {"GB", "12345", "COUNTRY"}, {"GB", "SW1A 1A1", "COUNTRY"},
		{"NL", "1234 AB", ""}, {"NL-NH", "1234ab", ""}, {"NL", "1234", "COUNTRY"}, {"NL", "0123 AB", "COUNTRY"},
		{"IT", "anything", ""}, {"CH-ZH", "8001", ""}, {"", "8001", ""}, {"FR", "", ""}, {"FR-", "75001", ""}, {"-", "x", ""},
	} {
		want := map[string]string{"COUNTRY": profile.WarnPostalForm, "REGION": profile.WarnPostalRegion}[c.want]
		got := ""
		for _, w := range profile.Plausibility(&profile.Profile{Region: c.region, PostalCode: c.code}, today) {
			got += w.Code
		}
		if got != want {
			t.Errorf("%s %q: %q, want %q", c.region, c.code, got, want)
		}
	}
}

// odd makes a profile of edges: days, amounts and texts that a store never holds too.
func odd(r *rand.Rand) *profile.Profile {
	days := []int64{-1 << 62, 1 << 62, audience.MinDay - 1, audience.MinDay, -50000, -1, 0, 9000, 20000, today - 1, today, today + 1, today + 2, audience.MaxDay, audience.MaxDay + 1}
	anyDay := func() int64 { return days[r.IntN(len(days))] }
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	p := &profile.Profile{
		BirthDate: &profile.Interval{First: anyDay(), Last: anyDay()}, Region: pick("", "FR-40", "FR-2A", "GB", "US-CA", "DE", "NL", "FR-", "marker", "-"),
		PostalCode: pick("", "40100", "marker", "marker-40100", "\xff", "1234 AB", " SW1A 1AA ", strings.Repeat("9", 10000)), JobLevel: pick("", "marker", "owner", "training"),
		MaritalStatus: pick("", "married", "marker"), Education: pick("", "master", "marker"), Income: &profile.Money{Currency: pick("EUR", "marker"), Amount: anyDay() * 10000},
		Occupation: "marker", Household: "marker", Employer: profile.Employer{Name: "marker"},
	}
	if r.IntN(4) == 0 {
		p.BirthDate.Last = p.BirthDate.First
	}
	for range r.IntN(4) {
		c := profile.Consent{Purpose: "marker", Status: pick("granted", "denied", "marker"), Source: "marker"}
		if r.IntN(3) > 0 {
			c.Expires = number(anyDay())
		}
		if r.IntN(3) > 0 {
			c.Decided = time.Unix(min(max(anyDay(), -1e6), 3e6)*86400, 0)
		}
		p.Consents = append(p.Consents, c)
	}
	return p
}

func TestWarningsAreStableAndNeverHoldAValue(t *testing.T) {
	field := regexp.MustCompile(`^(birth_date|job_level|education|marital_status|postal_code|income\.amount|consents\[\d\]\.(decide_time|expire_date))$`)
	code := regexp.MustCompile(`^[A-Z][A-Z_]{3,62}$`)
	messages := map[string]string{} // of each code: always the same one, so no value can be in it
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		p := odd(r)
		before := p.Clone()
		on := today
		if r.IntN(10) == 0 {
			on = []int64{-1 << 62, 1 << 62, audience.MaxDay, audience.MinDay}[r.IntN(4)]
		}
		got := profile.Plausibility(p, on)
		if again := profile.Plausibility(p, on); !slices.Equal(got, again) {
			t.Fatalf("%v, then %v", got, again)
		}
		if !reflect.DeepEqual(p, before) {
			t.Fatal("the profile was changed")
		}
		for _, w := range got {
			if !field.MatchString(w.Field) || !code.MatchString(w.Code) || w.Message == "" || strings.Contains(fmt.Sprint(w), "marker") {
				t.Fatalf("%+v is no warning", w)
			}
			if seen, ok := messages[w.Code]; ok && seen != w.Message {
				t.Fatalf("%s says %q and %q", w.Code, seen, w.Message)
			}
			messages[w.Code] = w.Message
		}
	}
	if len(messages) != 14 {
		t.Errorf("%d of 14 codes were seen: the profiles are not odd enough", len(messages))
	}
}
