package mapping_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/narrowcast/narrowcast/pkg/testkit"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/mapping"
)

// shared opens a file of the data that nobody here made; without it the test is skipped and says so.
func shared(t testing.TB, path ...string) *os.File {
	t.Helper()
	f, err := os.Open(testkit.SharedData(t, path...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func example(t testing.TB, name string) *mapping.Mapping {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "examples", "mappings", name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := mapping.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func profilesOf(t testing.TB, m *mapping.Mapping, in io.Reader) []*profilev1.Profile {
	t.Helper()
	rows, err := m.Open(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []*profilev1.Profile
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if row.Problems != nil {
			t.Fatalf("line %d: %+v", row.Line, row.Problems)
		}
		list = append(list, row.Profile)
	}
}

func count(people []*profilev1.Profile, is func(p *profilev1.Profile) bool) int {
	n := 0
	for _, p := range people {
		if is(p) {
			n++
		}
	}
	return n
}

func number(v *typev1.AttributeValue) float64 {
	n, err := strconv.ParseFloat(v.GetDecimal(), 64)
	if err != nil {
		return -1e18
	}
	return n
}

// The expected counts were computed from the files by other programs.
func TestBankMarketingIsReadWithoutLoss(t *testing.T) {
	people := profilesOf(t, example(t, "bank-marketing.yaml"), shared(t, "bank_marketing", "bank-full.csv.gz"))
	type profile = *profilev1.Profile
	text := func(p profile, id string) string { return p.GetCustom()[id].GetText() }
	yes := func(p profile, id string) bool { return p.GetCustom()[id].GetBoolean() }
	age := func(p profile) int32 { return 2010 - p.GetBirthDate().GetYear() }
	for _, c := range []struct {
		name string
		want int
		is   func(p profile) bool
	}{
		{"everybody", 45211, func(profile) bool { return true }},
		{"30-39, management, yes", 587, func(p profile) bool {
			return age(p) >= 30 && age(p) <= 39 && text(p, "job") == "management" && yes(p, "y")
		}},
		{"students, retired or below 25, without loans, known contact", 2085, func(p profile) bool {
			return (slices.Contains([]string{"student", "retired"}, text(p, "job")) || age(p) < 25) &&
				!yes(p, "housing") && !yes(p, "loan") && text(p, "contact") != "unknown"
		}},
		{"balance 0..1000, married, tertiary, not management", 1535, func(p profile) bool {
			b := number(p.GetCustom()["balance"])
			return b >= 0 && b <= 1000 && p.GetMaritalStatus() == typev1.MaritalStatus_MARITAL_STATUS_MARRIED &&
				p.GetEducation() == typev1.Education_EDUCATION_TERTIARY && text(p, "job") != "management"
		}},
		{"success", 1511, func(p profile) bool { return text(p, "poutcome") == "success" }},
		{"success and yes", 978, func(p profile) bool { return text(p, "poutcome") == "success" && yes(p, "y") }},
		{"march", 477, func(p profile) bool { return text(p, "month") == "mar" }},
		{"yes", 5289, func(p profile) bool { return yes(p, "y") }},
		{"lowest balance", 1, func(p profile) bool { return p.GetCustom()["balance"].GetDecimal() == "-8019" }},
	} {
		if got := count(people, c.is); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if id := people[45210].GetIdentifiers()[0]; id.GetValue() != "45211" || id.GetSource() != "bank-marketing" {
		t.Errorf("last id is %v", id)
	}
}

func TestCustomerPersonalityIsReadWithoutLoss(t *testing.T) {
	people := profilesOf(t, example(t, "customer-personality.yaml"), shared(t, "customer_personality", "marketing_campaign.csv"))
	type profile = *profilev1.Profile
	text := func(p profile, id string) string { return p.GetCustom()[id].GetText() }
	cases := []struct {
		name string
		want int
		is   func(p profile) bool
	}{
		{"everybody", 2240, func(profile) bool { return true }},
		{"no income", 24, func(p profile) bool { return p.GetIncome() == nil }},
		{"wine", 231, func(p profile) bool {
			income, err := strconv.Atoi(p.GetIncome().GetAmount())
			return slices.Contains([]string{"Master", "PhD"}, text(p, "degree")) &&
				slices.Contains([]string{"Married", "Together"}, text(p, "marital_stated")) && err == nil && income >= 50000 &&
				number(p.GetCustom()["wines"]) > 300
		}},
		{"30-39, no children, web", 81, func(p profile) bool {
			age := 2014 - p.GetBirthDate().GetYear()
			return age >= 30 && age <= 39 && p.GetCustom()["children"].GetDecimal() == "0" && number(p.GetCustom()["web_purchases"]) >= 4
		}},
		{"response", 334, func(p profile) bool { return p.GetCustom()["response"].GetBoolean() }},
	}
	for n, want := range []int{1777, 325, 83, 44, 11} {
		cases = append(cases, struct {
			name string
			want int
			is   func(p profile) bool
		}{"accepted " + strconv.Itoa(n), want, func(p profile) bool {
			list := p.GetCustom()["accepted"].GetTexts().GetValues()
			return p.GetCustom()["accepted_count"].GetDecimal() == strconv.Itoa(n) && len(list) == n
		}})
	}
	for _, c := range cases {
		if got := count(people, c.is); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestHouseholdsOfTheCompleteJourneyAreReadWithoutLoss(t *testing.T) {
	people := profilesOf(t, example(t, "complete-journey.yaml"), shared(t, "completejourney", "demographics.csv"))
	type profile = *profilev1.Profile
	text := func(p profile, id string) string { return p.GetCustom()[id].GetText() }
	for name, c := range map[string]struct {
		want int
		is   func(p profile) bool
	}{
		"everybody": {801, func(profile) bool { return true }},
		"35-44, married, with children, 50K to 99K": {24, func(p profile) bool {
			return text(p, "age_band") == "35-44" && text(p, "marital_stated") == "Married" && text(p, "kids") != "0" &&
				slices.Contains([]string{"50-74K", "75-99K"}, text(p, "income_band"))
		}},
		"65 and above":       {72, func(p profile) bool { return text(p, "age_band") == "65+" }},
		"home not known":     {233, func(p profile) bool { return p.GetCustom()["home"] == nil }},
		"marriage not known": {137, func(p profile) bool { return p.GetCustom()["marital_stated"] == nil }},
	} {
		if got := count(people, c.is); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
