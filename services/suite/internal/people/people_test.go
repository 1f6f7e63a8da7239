package people_test

import (
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/population"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/suite/internal/people"
)

func TestEveryPersonIsAValidProfile(t *testing.T) {
	v, err := protovalidate.New(protovalidate.WithMessages(&profilev1.Profile{}))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range population.New(1, 3000).All() {
		if err := v.Validate(people.Profile(&p)); err != nil {
			t.Fatalf("person %d: %v", i, err)
		}
	}
	for _, a := range people.Attributes() {
		if err := v.Validate(a); err != nil {
			t.Errorf("attribute %s: %v", a.GetName(), err)
		}
	}
}

func TestFactsArriveUnchangedAndMissingOnesStayMissing(t *testing.T) {
	p := population.Person{
		ExternalID: "P1", GivenName: "Zoé", Birth: population.Date{Year: 1990}, Gender: "female", Region: "FR-40", JobLevel: "director",
		Income: population.Money{Currency: "EUR", Cents: 5_000_050}, Roles: []string{"buyer"}, Interests: []string{}, LoyaltyPoints: 12_05,
		Newsletter: population.No, MemberSince: population.Date{Year: 2020, Month: 2, Day: 29}, Tier: "gold", Hobbies: []string{"surf"},
		Consents: []population.Consent{{Purpose: "marketing", Channel: "email", Status: "granted", Expires: population.Date{Year: 2030, Month: 1, Day: 2}}},
	}
	got := people.Profile(&p)
	if got.GetGivenName() != "Zoé" || got.FamilyName != nil || got.GetBirthDate().GetYear() != 1990 || got.GetBirthDate().GetMonth() != 0 {
		t.Errorf("name or birth: %v", got)
	}
	if wire.Genders.Text(got.GetGender()) != "female" || wire.JobLevels.Text(got.GetJobLevel()) != "director" || got.GetRegion() != "FR-40" || got.PostalCode != nil {
		t.Errorf("gender, level or region: %v", got)
	}
	if m := got.GetIncome(); m.GetCurrencyCode() != "EUR" || m.GetAmount() != "50000.50" && m.GetAmount() != "50000.5" {
		t.Errorf("income %v", m)
	}
	if got.GetInterests() == nil || len(got.GetInterests().GetValues()) != 0 || got.GetValues() != nil || got.GetEmployer() != nil {
		t.Errorf("an empty list must be present and a missing one absent: %v", got)
	}
	c := got.GetConsents()
	if len(c) != 1 || wire.Purposes.Text(c[0].GetPurpose()) != "marketing" || wire.ConsentStatuses.Text(c[0].GetStatus()) != "granted" || c[0].GetExpireDate().GetDay() != 2 {
		t.Errorf("consents %v", c)
	}
	custom := got.GetCustom()
	if custom["loyalty_points"].GetDecimal() != "12.05" || custom["newsletter"].GetValue() == nil || custom["newsletter"].GetBoolean() ||
		custom["member_since"].GetDate().GetDay() != 29 || custom["tier"].GetText() != "gold" || custom["hobbies"].GetTexts().GetValues()[0] != "surf" {
		t.Errorf("custom %v", custom)
	}
	if id := got.GetIdentifiers(); len(id) != 1 || id[0].GetSource() != people.Source || id[0].GetValue() != "P1" {
		t.Errorf("identifiers %v", id)
	}
	if n := len(people.Profile(&population.Person{ExternalID: "P2", LoyaltyPoints: -1}).GetCustom()); n != 0 {
		t.Errorf("%d custom attributes of a person about whom nothing is known", n)
	}
	for points, want := range map[int64]string{0: "0", 100: "1", 1: "0.01", 110: "1.1", 1299: "12.99"} {
		if got := people.Profile(&population.Person{LoyaltyPoints: points}).GetCustom()["loyalty_points"].GetDecimal(); got != want {
			t.Errorf("%d hundredths are %q, want %q", points, got, want)
		}
	}
	if !proto.Equal(people.Profile(&p), got) {
		t.Error("the same person gives another profile")
	}
}
