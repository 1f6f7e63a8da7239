package profilefacts_test

import (
	"reflect"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/internal/profilefacts"
)

const name = "profiles/01890000-0000-7000-8000-0000000000ff"

var declared = map[string]*audience.Attribute{
	"custom.balance": {Name: "custom.balance", Kind: audience.KindDecimal, Scale: 1},
	"custom.vip":     {Name: "custom.vip", Kind: audience.KindBool},
}

func attribute(name string) (*audience.Attribute, bool) {
	a, ok := declared[name]
	return a, ok
}

func complete() *profilev1.Profile {
	return &profilev1.Profile{
		Name: name, GivenName: proto.String("Ada"), FamilyName: proto.String("L"),
		BirthDate: &date.Date{Year: 1990}, Gender: typev1.Gender_GENDER_OTHER, Region: proto.String("FR-40"), PostalCode: proto.String("40000"),
		JobLevel: typev1.JobLevel_JOB_LEVEL_CXO, Income: &typev1.Money{CurrencyCode: "EUR", Amount: "12.5"},
		Education: typev1.Education_EDUCATION_MASTER, MaritalStatus: typev1.MaritalStatus_MARITAL_STATUS_WIDOWED, Occupation: proto.String("e\u0301lue"),
		Employer:  &profilev1.Employer{Name: proto.String("firm"), Industry: proto.String("trade"), Size: typev1.EmployerSize_EMPLOYER_SIZE_2_10},
		Household: proto.String("h1"), Roles: &profilev1.RoleList{}, Lifecycle: typev1.Lifecycle_LIFECYCLE_LAPSED,
		Interests: &typev1.TextList{Values: []string{"tea", "films", "tea"}}, Values: &typev1.TextList{}, Needs: &typev1.TextList{Values: []string{"time"}},
		PreferredChannels: &profilev1.ChannelList{Values: []typev1.Channel{typev1.Channel_CHANNEL_SMS}},
		PreferredBrands:   &typev1.TextList{Values: []string{"b"}},
		Consents: []*profilev1.Consent{
			{Purpose: typev1.ConsentPurpose_CONSENT_PURPOSE_MARKETING, Channel: typev1.Channel_CHANNEL_EMAIL, Status: typev1.ConsentStatus_CONSENT_STATUS_GRANTED, ExpireDate: &date.Date{Year: 1970, Month: 1, Day: 11}},
			{Purpose: typev1.ConsentPurpose_CONSENT_PURPOSE_MARKETING, Status: typev1.ConsentStatus_CONSENT_STATUS_GRANTED},
			{Purpose: typev1.ConsentPurpose_CONSENT_PURPOSE_PROFILING, Status: typev1.ConsentStatus_CONSENT_STATUS_WITHDRAWN},
		},
		Identifiers: []*profilev1.Identifier{{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EMAIL, Value: "ada@example.org"}},
		Custom: map[string]*typev1.AttributeValue{
			"balance": {Value: &typev1.AttributeValue_Decimal{Decimal: "-3.5"}}, "vip": {Value: &typev1.AttributeValue_Boolean{}},
		},
		Traits: traits(),
	}
}

func traits() *profilev1.Traits {
	eur := func(amount string) *typev1.Money { return &typev1.Money{CurrencyCode: "EUR", Amount: amount} }
	return &profilev1.Traits{
		Purchases: &profilev1.Purchases{
			FirstDate: &date.Date{Year: 1970, Month: 1, Day: 2},
			Activity:  &profilev1.Activity{LastDate: &date.Date{Year: 1970, Month: 1, Day: 3}, Count: 4, Count_30D: 1, Count_90D: 2, Count_365D: 3},
			Sum:       eur("1000.00"), Sum_30D: eur("10.01"), Sum_90D: eur("20.02"), Sum_365D: eur("30.03"), AverageBasket: eur("0.00"),
			FavouriteChannel: typev1.Channel_CHANNEL_WEB, FavouriteBrand: "e\u0301", FavouriteCategory: "c", Loyalty: proto.String("0.6667"),
		},
		Visits:       &profilev1.Activity{LastDate: &date.Date{Year: 1970, Month: 1, Day: 4}, Count: 8, Count_30D: 5, Count_90D: 6, Count_365D: 7},
		Opens:        &profilev1.Activity{},
		Surveys:      &profilev1.Activity{LastDate: &date.Date{Year: 1970, Month: 1, Day: 5}, Count: 1},
		Satisfaction: proto.String("9.50"),
		Own:          map[string]*profilev1.Activity{"test_drive": {Count: 3}},
	}
}

func TestEveryFieldBecomesItsFactAndNothingElse(t *testing.T) {
	uid, facts, err := profilefacts.Of(complete(), attribute)
	if err != nil {
		t.Fatal(err)
	}
	if uid != (audience.UID{0x01, 0x89, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0xff}) {
		t.Errorf("uid is %x", uid)
	}
	want := audience.Facts{
		"birth_date": {Num: 7305, Last: 7669}, // 1990-01-01 and 1990-12-31
		"gender":     {Text: "other"}, "region": {Text: "FR-40"}, "postal_code": {Text: "40000"}, "job_level": {Text: "cxo"},
		"income": {Num: 1250, Currency: "EUR"}, "education": {Text: "master"}, "marital_status": {Text: "widowed"}, "occupation": {Text: "élue"},
		"employer.name": {Text: "firm"}, "employer.industry": {Text: "trade"}, "employer.size": {Text: "2-10"}, "household": {Text: "h1"},
		"roles": {List: []string{}}, "lifecycle": {Text: "lapsed"}, "interests": {List: []string{"films", "tea"}}, "values": {List: []string{}},
		"needs": {List: []string{"time"}}, "preferred_channels": {List: []string{"sms"}}, "preferred_brands": {List: []string{"b"}},
		"consent.marketing.email": {Num: 10}, "consent.marketing.any": {Num: audience.MaxDay}, "consent.profiling.any": {Num: audience.MinDay},
		"custom.balance": {Num: -35}, "custom.vip": {Num: 0},
		"purchase.first_date": {Num: 1}, "purchase.last_date": {Num: 2}, "purchase.count": {Num: 4}, "purchase.count_30d": {Num: 1},
		"purchase.count_90d": {Num: 2}, "purchase.count_365d": {Num: 3}, "purchase.sum": {Num: 100000, Currency: "EUR"},
		"purchase.sum_30d": {Num: 1001, Currency: "EUR"}, "purchase.sum_90d": {Num: 2002, Currency: "EUR"}, "purchase.sum_365d": {Num: 3003, Currency: "EUR"},
		"purchase.average_basket": {Currency: "EUR"}, "purchase.favourite_channel": {Text: "web"}, "purchase.favourite_brand": {Text: "\u00e9"},
		"purchase.favourite_category": {Text: "c"}, "purchase.loyalty": {Num: 6667}, "survey.satisfaction": {Num: 950},
		"visit.last_date": {Num: 3}, "visit.count": {Num: 8}, "visit.count_30d": {Num: 5}, "visit.count_90d": {Num: 6}, "visit.count_365d": {Num: 7},
		"survey.last_date": {Num: 4}, "survey.count": {Num: 1}, "survey.count_30d": {}, "survey.count_90d": {}, "survey.count_365d": {},
		// What is not set did not happen.
		"open.count": {}, "open.count_30d": {}, "open.count_90d": {}, "open.count_365d": {},
		"click.count": {}, "click.count_30d": {}, "click.count_90d": {}, "click.count_365d": {},
		"response.count": {}, "response.count_30d": {}, "response.count_90d": {}, "response.count_365d": {},
		"complaint.count": {}, "complaint.count_30d": {}, "complaint.count_90d": {}, "complaint.count_365d": {},
	}
	if !reflect.DeepEqual(facts, want) {
		t.Errorf("facts are\n%v, want\n%v", facts, want)
	}
	schema, err := audience.NewSchema("EUR", []audience.Attribute{*declared["custom.balance"], *declared["custom.vip"]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audience.Derive(schema, facts); err != nil {
		t.Errorf("the schema refuses the facts: %v", err)
	}
}

// A field that is added to the contract has to be decided about: a fact, or never one.
func TestEveryFieldOfTheContractIsDecidedAbout(t *testing.T) {
	never := map[protoreflect.Name]bool{
		"name": true, "uid": true, "etag": true, "create_time": true, "update_time": true, "consistency_token": true,
		"given_name": true, "family_name": true, "identifiers": true, "warnings": true,
	}
	fields := (&profilev1.Profile{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		alone := &profilev1.Profile{Name: name}
		if all := complete().ProtoReflect(); all.Has(f) {
			alone.ProtoReflect().Set(f, all.Get(f))
		}
		alone.Name = name
		_, facts, err := profilefacts.Of(alone, attribute)
		if err != nil {
			t.Fatal(err)
		}
		if len(facts) == 0 != never[f.Name()] {
			t.Errorf("%s alone gives %d facts", f.Name(), len(facts))
		}
	}
}

func TestWhatIsNotSetIsUnknown(t *testing.T) {
	_, facts, err := profilefacts.Of(&profilev1.Profile{Name: name}, attribute)
	if err != nil || len(facts) != 0 {
		t.Errorf("facts %v, %v", facts, err)
	}
}

func TestWrongFactsAreNamedAndTheOthersStay(t *testing.T) {
	p := &profilev1.Profile{
		Name: name, Gender: typev1.Gender_GENDER_MALE, BirthDate: &date.Date{Year: 2001, Month: 2, Day: 29},
		Income:   &typev1.Money{CurrencyCode: "EUR", Amount: "31337x"},
		Consents: []*profilev1.Consent{{Purpose: 1, Status: 1, ExpireDate: &date.Date{Year: 2031}}},
		Custom: map[string]*typev1.AttributeValue{
			"vip": {Value: &typev1.AttributeValue_Text{Text: "secret"}}, "none": {Value: &typev1.AttributeValue_Boolean{Boolean: true}},
		},
		Traits: &profilev1.Traits{
			Purchases: &profilev1.Purchases{
				FirstDate: &date.Date{Year: 2031}, Activity: &profilev1.Activity{LastDate: &date.Date{Year: 2031, Month: 2, Day: 29}},
				Sum: &typev1.Money{CurrencyCode: "EUR", Amount: "31337x"}, Loyalty: proto.String("0.00001"),
			},
			Satisfaction: proto.String("secret"),
		},
	}
	_, facts, err := profilefacts.Of(p, attribute)
	const counts = 7 * 4 // which stay
	if len(facts) != 1+counts || facts["gender"].Text != "male" {
		t.Errorf("facts are %v", facts)
	}
	f := fault.As(err)
	if f == nil || f.Kind != fault.Invalid {
		t.Fatalf("error is %v", err)
	}
	got := make(map[string]bool)
	for _, v := range f.Violations {
		got[v.Field] = true
		if strings.Contains(v.Description, "31337") || strings.Contains(v.Description, "secret") {
			t.Errorf("%s: the description repeats the value", v.Field)
		}
	}
	for _, want := range []string{"birth_date.day", "income.amount", "consents[0].expire_date.day", "custom.vip", "custom.none",
		"traits.purchases.first_date.day", "traits.purchases.activity.last_date.day", "traits.purchases.sum.amount", "traits.purchases.loyalty", "traits.satisfaction",
	} {
		if !got[want] {
			t.Errorf("nothing is said of %s: %v", want, f.Violations)
		}
	}
	if _, facts, err := profilefacts.Of(&profilev1.Profile{Name: "profiles/x"}, attribute); err == nil || facts != nil {
		t.Errorf("a profile without a proper name gave %v, %v", facts, err)
	}
}
