package rpc_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/revision"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
)

func text(s string) *typev1.AttributeValue {
	return &typev1.AttributeValue{Value: &typev1.AttributeValue_Text{Text: s}}
}

func decimal(s string) *typev1.AttributeValue {
	return &typev1.AttributeValue{Value: &typev1.AttributeValue_Decimal{Decimal: s}}
}

func (w *world) declareAll(t *testing.T) {
	t.Helper()
	w.declare(t, "plan", profilev1.Attribute_TYPE_STRING, func(a *profilev1.Attribute) { a.AllowedValues = []string{"gold", "silver"} })
	w.declare(t, "balance", profilev1.Attribute_TYPE_DECIMAL, func(a *profilev1.Attribute) { a.Scale = 2 })
	w.declare(t, "vip", profilev1.Attribute_TYPE_BOOL)
	w.declare(t, "since", profilev1.Attribute_TYPE_DATE)
	w.declare(t, "tags", profilev1.Attribute_TYPE_STRING_LIST)
}

// everything states every attribute, in the form in which the service answers.
func everything() *profilev1.Profile {
	return &profilev1.Profile{
		GivenName: proto.String("Zoë"), FamilyName: proto.String(""), BirthDate: &date.Date{Year: 1990}, Gender: typev1.Gender_GENDER_OTHER,
		Region: proto.String("FR-40"), PostalCode: proto.String("40100"), JobLevel: typev1.JobLevel_JOB_LEVEL_CXO,
		Income: &typev1.Money{CurrencyCode: "EUR", Amount: "-12.50"}, Education: typev1.Education_EDUCATION_MASTER,
		MaritalStatus: typev1.MaritalStatus_MARITAL_STATUS_WIDOWED, Occupation: proto.String("luthière"),
		Employer:  &profilev1.Employer{Name: proto.String("Atelier"), Industry: proto.String("music"), Size: typev1.EmployerSize_EMPLOYER_SIZE_2_10},
		Household: proto.String("h1"), Roles: &profilev1.RoleList{}, Lifecycle: typev1.Lifecycle_LIFECYCLE_LAPSED,
		Interests: &typev1.TextList{Values: []string{"cycling", "été"}}, Values: &typev1.TextList{Values: []string{"x"}}, Needs: &typev1.TextList{},
		PreferredChannels: &profilev1.ChannelList{Values: []typev1.Channel{typev1.Channel_CHANNEL_EMAIL, typev1.Channel_CHANNEL_POST}},
		PreferredBrands:   &typev1.TextList{Values: []string{"b"}},
		Consents: []*profilev1.Consent{
			{Purpose: typev1.ConsentPurpose_CONSENT_PURPOSE_MARKETING, Status: typev1.ConsentStatus_CONSENT_STATUS_DENIED},
			{
				Purpose: typev1.ConsentPurpose_CONSENT_PURPOSE_MARKETING, Channel: typev1.Channel_CHANNEL_EMAIL, Status: typev1.ConsentStatus_CONSENT_STATUS_GRANTED,
				ExpireDate: &date.Date{Year: 2030, Month: 2, Day: 28}, DecideTime: timestamppb.New(time.Date(2025, 1, 2, 3, 4, 5, 6000, time.UTC)), Source: "form",
			},
		},
		Identifiers: append(external("1"), &profilev1.Identifier{Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EMAIL, Value: "z@example.com"}),
		Custom: map[string]*typev1.AttributeValue{
			"plan": text("gold"), "balance": decimal("-0.50"), "vip": {Value: &typev1.AttributeValue_Boolean{}},
			"since": {Value: &typev1.AttributeValue_Date{Date: &date.Date{Year: 1969, Month: 12, Day: 29}}},
			"tags":  {Value: &typev1.AttributeValue_Texts{Texts: &typev1.TextList{}}},
		},
	}
}

func TestEveryFieldComesBackAsItWasStated(t *testing.T) {
	for name, w := range map[string]*world{"in process": inProcess(t, rpc.Options{}), "over the network": networked(t, rpc.Options{})} {
		t.Run(name, func(t *testing.T) {
			w.declareAll(t)
			made := w.create(t, everything())
			if !proto.Equal(stated(made), everything()) {
				t.Errorf("created\n%s, want\n%s", prototext.Format(stated(made)), prototext.Format(everything()))
			}
			got, err := w.GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: made.GetName()})
			must(t, err)
			if !proto.Equal(stated(got), everything()) || got.GetEtag() != made.GetEtag() || got.GetName() != "profiles/"+got.GetUid() {
				t.Errorf("got\n%s", prototext.Format(got))
			}
			token, err := revision.Parse(made.GetConsistencyToken())
			must(t, err)
			head, err := w.GetHead(t.Context(), &profilev1.GetHeadRequest{})
			must(t, err)
			if token.Store != head.GetStore() || token.Profile.Revision != 6 || head.GetPosition().GetRevision() != 6 ||
				token.Profile.Incarnation != head.GetPosition().GetIncarnation() || head.GetCurrencyCode() != "EUR" || head.GetTimeZone() != "Europe/Paris" {
				t.Errorf("the token says %+v, the head %v", token, head)
			}
			// A field that is not in the test would not be tested.
			fields := made.ProtoReflect().Descriptor().Fields()
			for i := range fields.Len() {
				switch fields.Get(i).Name() {
				case "traits", "warnings": // nobody states them; they have tests of their own
					continue
				}
				if !made.ProtoReflect().Has(fields.Get(i)) {
					t.Errorf("the field %s is not stated by this test", fields.Get(i).Name())
				}
			}
		})
	}
}

func TestTheSameSaidInAnotherWayIsNoChange(t *testing.T) {
	w := inProcess(t, rpc.Options{})
	w.declareAll(t)
	made := w.create(t, everything())
	other := everything()
	other.Name = made.GetName()
	other.Interests.Values = []string{"e\u0301te\u0301", "cycling", "cycling"}
	other.Income.Amount = "-12.5"
	other.Custom["balance"] = decimal("-0.5")
	slices.Reverse(other.Consents)
	slices.Reverse(other.Identifiers)
	slices.Reverse(other.PreferredChannels.Values)
	res, err := w.BatchUpsertProfiles(t.Context(), &profilev1.BatchUpsertProfilesRequest{Profiles: []*profilev1.Profile{other}})
	must(t, err)
	if got := res.GetResults()[0]; got.GetOutcome() != profilev1.BatchUpsertProfilesResponse_Result_OUTCOME_UNCHANGED || got.GetName() != made.GetName() {
		t.Errorf("the same profile in other words: %v", got)
	}
}

func TestBadInputIsRefusedByFieldAndReasonAndChangesNothing(t *testing.T) {
	w := inProcess(t, rpc.Options{})
	w.declareAll(t)
	w.create(t, &profilev1.Profile{Identifiers: external("taken")})
	before := w.revision(t)
	consent := func(channel typev1.Channel) *profilev1.Consent {
		return &profilev1.Consent{Purpose: typev1.ConsentPurpose_CONSENT_PURPOSE_PROFILING, Channel: channel, Status: typev1.ConsentStatus_CONSENT_STATUS_GRANTED}
	}
	custom := func(id string, v *typev1.AttributeValue) *profilev1.Profile {
		return &profilev1.Profile{Custom: map[string]*typev1.AttributeValue{id: v}}
	}
	for _, c := range []struct {
		p             *profilev1.Profile
		reason, field string
	}{
		{&profilev1.Profile{Region: proto.String("FR-999")}, "UNKNOWN_REGION", "region"},
		{&profilev1.Profile{Region: proto.String("XX")}, "UNKNOWN_REGION", "region"},
		{&profilev1.Profile{Region: proto.String("fr")}, "VALIDATION_FAILED", "region"},
		{&profilev1.Profile{JobLevel: 77}, "VALIDATION_FAILED", "job_level"},
		{&profilev1.Profile{BirthDate: &date.Date{Year: 1990, Month: 2, Day: 29}}, "INVALID_DATE", "birth_date.day"},
		{&profilev1.Profile{BirthDate: &date.Date{Year: 1990, Day: 2}}, "INVALID_DATE", "birth_date.month"},
		{&profilev1.Profile{BirthDate: &date.Date{}}, "INVALID_DATE", "birth_date.year"},
		{&profilev1.Profile{Income: &typev1.Money{CurrencyCode: "EUR", Amount: "1.005"}}, "VALIDATION_FAILED", "income.amount"},
		{&profilev1.Profile{Income: &typev1.Money{CurrencyCode: "euro", Amount: "1"}}, "VALIDATION_FAILED", "income.currency_code"},
		{&profilev1.Profile{Consents: []*profilev1.Consent{consent(0), consent(1), consent(0)}}, "DUPLICATE_CONSENT", "consents[2]"},
		{&profilev1.Profile{Consents: []*profilev1.Consent{{Purpose: 1, Status: 1, ExpireDate: &date.Date{Year: 2026}}}}, "INVALID_DATE", "consents[0].expire_date.day"},
		{&profilev1.Profile{Consents: []*profilev1.Consent{{Purpose: 1, Status: 1, DecideTime: &timestamppb.Timestamp{Nanos: -1}}}}, "INVALID_DATE", "consents[0].decide_time"},
		{&profilev1.Profile{Identifiers: append(external("1"), external("1")...)}, "DUPLICATE_IDENTIFIER", "identifiers[1]"},
		{&profilev1.Profile{Identifiers: []*profilev1.Identifier{{Kind: 1, Value: "1"}}}, "INVALID_IDENTIFIER", "identifiers[0].source"},
		{&profilev1.Profile{Identifiers: external(" 1")}, "INVALID_IDENTIFIER", "identifiers[0].value"},
		{&profilev1.Profile{Identifiers: external("a\x00b")}, "INVALID_IDENTIFIER", "identifiers[0].value"},
		{custom("nothing", text("x")), "UNKNOWN_ATTRIBUTE", "custom.nothing"},
		{custom("plan", text("bronze")), "VALUE_NOT_ALLOWED", "custom.plan"},
		{custom("plan", decimal("1")), "ATTRIBUTE_TYPE_MISMATCH", "custom.plan"},
		{custom("plan", &typev1.AttributeValue{}), "ATTRIBUTE_TYPE_MISMATCH", "custom.plan"},
		{custom("balance", decimal("0.125")), "INVALID_NUMBER", "custom.balance"},
		{custom("balance", decimal("999999999999999999")), "INVALID_NUMBER", "custom.balance"},
		{custom("since", &typev1.AttributeValue{Value: &typev1.AttributeValue_Date{Date: &date.Date{Year: 2020, Month: 4, Day: 31}}}), "INVALID_DATE", "custom.since.date.day"},
		{&profilev1.Profile{Region: proto.String("XX"), BirthDate: &date.Date{Year: 1990, Month: 13}}, "VALIDATION_FAILED", "birth_date.month"},
	} {
		_, err := w.CreateProfile(t.Context(), &profilev1.CreateProfileRequest{Profile: c.p})
		wantFault(t, err, fault.Invalid, c.reason, "profile."+c.field)
		_, err = w.BatchUpsertProfiles(t.Context(), &profilev1.BatchUpsertProfilesRequest{Profiles: []*profilev1.Profile{{}, c.p}})
		wantFault(t, err, fault.Invalid, c.reason, "profiles[1]."+c.field)
	}
	f := fault.As(func() error {
		_, err := w.CreateProfile(t.Context(), &profilev1.CreateProfileRequest{Profile: custom("plan", decimal("1"))})
		return err
	}())
	if f.Metadata["attribute"] != "plan" || f.Metadata["type"] != "string" {
		t.Errorf("the metadata of a wrong type is %v", f.Metadata)
	}
	_, err := w.CreateProfile(t.Context(), &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{Identifiers: external("taken")}})
	wantFault(t, err, fault.Exists, profile.ReasonExternalIDTaken, "")
	_, err = w.CreateProfile(t.Context(), &profilev1.CreateProfileRequest{})
	wantFault(t, err, fault.Invalid, "VALIDATION_FAILED", "profile")
	if after := w.revision(t); after != before {
		t.Errorf("bad input moved the head from %d to %d", before, after)
	}
}

func TestAnUpdateChangesWhatItsMaskNames(t *testing.T) {
	w := inProcess(t, rpc.Options{})
	w.declareAll(t)
	for _, c := range []struct {
		name  string
		mask  []string
		patch *profilev1.Profile
		want  func(p *profilev1.Profile)
	}{
		{"a field", []string{"job_level"}, &profilev1.Profile{JobLevel: 1, Region: proto.String("DE")}, func(p *profilev1.Profile) { p.JobLevel = 1 }},
		{"cleared fields", []string{"job_level", "region", "interests", "income", "birth_date", "consents", "given_name"}, &profilev1.Profile{}, func(p *profilev1.Profile) {
			p.JobLevel, p.Region, p.Interests, p.Income, p.BirthDate, p.Consents, p.GivenName = 0, nil, nil, nil, nil, nil, nil
		}},
		{"an empty list is not an absent one", []string{"interests", "needs"}, &profilev1.Profile{Interests: &typev1.TextList{}}, func(p *profilev1.Profile) {
			p.Interests, p.Needs = &typev1.TextList{}, nil
		}},
		{"a part of the employer", []string{"employer.size"}, &profilev1.Profile{Employer: &profilev1.Employer{Size: 9, Name: proto.String("no")}}, func(p *profilev1.Profile) { p.Employer.Size = 9 }},
		{"a cleared part", []string{"employer.name"}, &profilev1.Profile{}, func(p *profilev1.Profile) { p.Employer.Name = nil }},
		{"the whole employer", []string{"employer"}, &profilev1.Profile{Employer: &profilev1.Employer{Size: 9}}, func(p *profilev1.Profile) { p.Employer = &profilev1.Employer{Size: 9} }},
		{"no employer", []string{"employer"}, &profilev1.Profile{}, func(p *profilev1.Profile) { p.Employer = nil }},
		{"one custom attribute", []string{"custom.balance"}, &profilev1.Profile{Custom: map[string]*typev1.AttributeValue{"balance": decimal("7"), "plan": text("silver")}}, func(p *profilev1.Profile) {
			p.Custom["balance"] = decimal("7.00")
		}},
		{"a cleared custom attribute", []string{"custom.balance"}, &profilev1.Profile{}, func(p *profilev1.Profile) { delete(p.Custom, "balance") }},
		{"all custom attributes", []string{"custom"}, &profilev1.Profile{Custom: map[string]*typev1.AttributeValue{"plan": text("silver")}}, func(p *profilev1.Profile) {
			p.Custom = map[string]*typev1.AttributeValue{"plan": text("silver")}
		}},
		{"what is set", nil, &profilev1.Profile{JobLevel: 2, Employer: &profilev1.Employer{Size: 1}, Custom: map[string]*typev1.AttributeValue{"plan": text("silver")}, Needs: &typev1.TextList{Values: []string{"n"}}}, func(p *profilev1.Profile) {
			p.JobLevel, p.Employer.Size, p.Needs = 2, 1, &typev1.TextList{Values: []string{"n"}}
			p.Custom["plan"] = text("silver")
		}},
		{"everything", []string{"*"}, &profilev1.Profile{JobLevel: 2}, func(p *profilev1.Profile) {
			proto.Reset(p)
			p.JobLevel = 2
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := everything()
			start.Identifiers = nil
			made := w.create(t, start)
			c.patch.Name, c.patch.Etag = made.GetName(), made.GetEtag()
			got, err := w.UpdateProfile(t.Context(), &profilev1.UpdateProfileRequest{Profile: c.patch, UpdateMask: &fieldmaskpb.FieldMask{Paths: c.mask}})
			must(t, err)
			want := stated(made)
			c.want(want)
			if !proto.Equal(stated(got), want) {
				t.Errorf("updated to\n%s, want\n%s", prototext.Format(stated(got)), prototext.Format(want))
			}
			again, err := w.GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: made.GetName()})
			must(t, err)
			if !proto.Equal(stated(again), want) || again.GetEtag() != got.GetEtag() || got.GetEtag() == made.GetEtag() {
				t.Errorf("stored\n%s", prototext.Format(again))
			}
			c.patch.Etag = made.GetEtag()
			_, err = w.UpdateProfile(t.Context(), &profilev1.UpdateProfileRequest{Profile: c.patch, UpdateMask: &fieldmaskpb.FieldMask{Paths: c.mask}})
			wantFault(t, err, fault.Conflict, profile.ReasonEtagMismatch, "")
		})
	}
	made := w.create(t, &profilev1.Profile{})
	for _, path := range []string{"uid", "name", "etag", "create_time", "nothing", "employer.nothing", "income.amount", "custom.", "custom.A", ""} {
		_, err := w.UpdateProfile(t.Context(), &profilev1.UpdateProfileRequest{Profile: made, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"region", path}}})
		wantFault(t, err, fault.Invalid, profile.ReasonUnknownField, "update_mask.paths[1]")
		if got := fault.As(err).Metadata["field"]; got != path {
			t.Errorf("the metadata names %q, want %q", got, path)
		}
	}
}

func TestReadingSeveralProfiles(t *testing.T) {
	w := inProcess(t, rpc.Options{})
	var names []string
	for n := range 7 {
		names = append(names, w.create(t, &profilev1.Profile{Identifiers: external(fmt.Sprint(n))}).GetName())
	}
	var got []string
	token := ""
	for {
		res, err := w.ListProfiles(t.Context(), &profilev1.ListProfilesRequest{PageSize: 3, PageToken: token})
		must(t, err)
		for _, p := range res.GetProfiles() {
			got = append(got, p.GetName())
		}
		if token = res.GetNextPageToken(); token == "" {
			break
		}
	}
	if !slices.Equal(got, names) { // uids ascend in the order of creation
		t.Errorf("listed %v, want %v", got, names)
	}
	w.declareAll(t)
	list, err := w.ListAttributes(t.Context(), &profilev1.ListAttributesRequest{PageSize: 2})
	must(t, err)
	_, err = w.ListProfiles(t.Context(), &profilev1.ListProfilesRequest{PageToken: list.GetNextPageToken()})
	wantFault(t, err, fault.Invalid, "PAGE_TOKEN_INVALID", "page_token")
	_, err = w.ListProfiles(t.Context(), &profilev1.ListProfilesRequest{PageToken: "x"})
	wantFault(t, err, fault.Invalid, "PAGE_TOKEN_INVALID", "page_token")
	_, err = w.ListProfiles(t.Context(), &profilev1.ListProfilesRequest{PageSize: -1})
	wantFault(t, err, fault.Invalid, "VALIDATION_FAILED", "page_size")

	slices.Reverse(names)
	batch, err := w.BatchGetProfiles(t.Context(), &profilev1.BatchGetProfilesRequest{Names: names})
	must(t, err)
	for i, p := range batch.GetProfiles() {
		if p.GetName() != names[i] {
			t.Errorf("place %d holds %s, want %s", i, p.GetName(), names[i])
		}
	}
	const missing = "profiles/00000000-0000-7000-8000-000000000000"
	_, err = w.BatchGetProfiles(t.Context(), &profilev1.BatchGetProfilesRequest{Names: append(names, missing)})
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound, "")
	if got := fault.As(err).Metadata["name"]; got != missing {
		t.Errorf("missing is %q, want %q", got, missing)
	}
	res, err := w.DeleteProfile(t.Context(), &profilev1.DeleteProfileRequest{Name: names[0]})
	must(t, err)
	if res.GetConsistencyToken() == "" {
		t.Error("a deletion gives no token")
	}
	_, err = w.GetProfile(t.Context(), &profilev1.GetProfileRequest{Name: names[0]})
	wantFault(t, err, fault.NotFound, profile.ReasonProfileNotFound, "")
}

func TestACreateWithARequestIDIsMadeOnce(t *testing.T) {
	w := inProcess(t, rpc.Options{})
	req := &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{Region: proto.String("FR")}, RequestId: "0198b7a8-0000-7000-8000-000000000001"}
	first, err := w.CreateProfile(t.Context(), req)
	must(t, err)
	again, err := w.CreateProfile(t.Context(), req)
	must(t, err)
	if !proto.Equal(first, again) || w.revision(t) != 1 {
		t.Errorf("the same request again answered\n%s, want\n%s", prototext.Format(again), prototext.Format(first))
	}
}

func TestDeclarationsCanGrowOnly(t *testing.T) {
	w := inProcess(t, rpc.Options{})
	dry, err := w.CreateAttribute(t.Context(), &profilev1.CreateAttributeRequest{AttributeId: "plan", Attribute: &profilev1.Attribute{Type: 1}, ValidateOnly: true})
	must(t, err)
	if dry.GetName() != "attributes/plan" || w.revision(t) != 0 {
		t.Errorf("a check only made %v, head %d", dry, w.revision(t))
	}
	w.declareAll(t)
	for _, c := range []struct {
		id            string
		a             *profilev1.Attribute
		kind          fault.Kind
		reason, field string
	}{
		{"plan", &profilev1.Attribute{Type: 1}, fault.Exists, profile.ReasonAttributeExists, ""},
		{"in", &profilev1.Attribute{Type: 1}, fault.Invalid, profile.ReasonValidationFailed, "attribute.name"},
		{"x", &profilev1.Attribute{Type: 1, Scale: 2}, fault.Invalid, profile.ReasonValidationFailed, "attribute.scale"},
		{"x", &profilev1.Attribute{Type: 2, AllowedValues: []string{"1"}}, fault.Invalid, profile.ReasonValidationFailed, "attribute.allowed_values"},
		{"x", &profilev1.Attribute{Type: 1, AllowedValues: []string{"\u00e9", "e\u0301"}}, fault.Invalid, profile.ReasonValidationFailed, "attribute.allowed_values[1]"},
		{"x", &profilev1.Attribute{}, fault.Invalid, profile.ReasonValidationFailed, "attribute.type"},
		{"X", &profilev1.Attribute{Type: 1}, fault.Invalid, profile.ReasonValidationFailed, "attribute_id"},
	} {
		for _, only := range []bool{true, false} {
			_, err := w.CreateAttribute(t.Context(), &profilev1.CreateAttributeRequest{AttributeId: c.id, Attribute: c.a, ValidateOnly: only})
			wantFault(t, err, c.kind, c.reason, c.field)
		}
	}
	got, err := w.GetAttribute(t.Context(), &profilev1.GetAttributeRequest{Name: "attributes/plan"})
	must(t, err)
	update := func(a *profilev1.Attribute, mask ...string) (*profilev1.Attribute, error) {
		return w.UpdateAttribute(t.Context(), &profilev1.UpdateAttributeRequest{Attribute: a, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
	}
	before := w.revision(t)
	for _, c := range []struct {
		change func(a *profilev1.Attribute)
		mask   string
	}{
		{func(a *profilev1.Attribute) { a.Type = 2 }, "type"},
		{func(a *profilev1.Attribute) { a.AllowedValues = []string{"gold"} }, "allowed_values"},
		{func(a *profilev1.Attribute) { a.AllowedValues = nil }, "allowed_values"},
		{func(a *profilev1.Attribute) { a.Name, a.Type, a.Scale = "attributes/balance", 2, 3 }, "scale"},
	} {
		a := proto.CloneOf(got)
		a.Etag = ""
		c.change(a)
		_, err := update(a, c.mask)
		wantFault(t, err, fault.Invalid, profile.ReasonAttributeImmutable, "attribute."+c.mask)
	}
	_, err = update(got, "revision")
	wantFault(t, err, fault.Invalid, profile.ReasonUnknownField, "update_mask.paths[0]")
	if w.revision(t) != before {
		t.Error("a refused change moved the head")
	}
	grown := proto.CloneOf(got)
	grown.AllowedValues, grown.Sensitive, grown.Description = []string{"gold", "silver", "bronze"}, true, "the plan"
	res, err := update(grown)
	must(t, err)
	if !slices.Equal(res.GetAllowedValues(), grown.GetAllowedValues()) || !res.GetSensitive() || res.GetDescription() != "the plan" ||
		res.GetEtag() == got.GetEtag() || res.GetRevision() != got.GetRevision() || res.GetConsistencyToken() == "" {
		t.Errorf("grown to %v", res)
	}
	_, err = update(grown)
	wantFault(t, err, fault.Conflict, profile.ReasonEtagMismatch, "")
	res.Sensitive = false
	_, err = update(res, "sensitive")
	wantFault(t, err, fault.Invalid, profile.ReasonAttributeImmutable, "attribute.sensitive")
	w.create(t, &profilev1.Profile{Custom: map[string]*typev1.AttributeValue{"plan": text("bronze")}})
	_, err = w.GetAttribute(t.Context(), &profilev1.GetAttributeRequest{Name: "attributes/none"})
	wantFault(t, err, fault.NotFound, profile.ReasonAttributeNotFound, "")
}

func TestTextsThatADatabaseCannotKeepAreRefused(t *testing.T) {
	w := inProcess(t, rpc.Options{})
	_, err := w.CreateProfile(t.Context(), &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{}, RequestId: "a\x00"})
	wantFault(t, err, fault.Invalid, profile.ReasonValidationFailed, "request_id")
	_, err = w.CreateAttribute(t.Context(), &profilev1.CreateAttributeRequest{
		AttributeId: "plan", Attribute: &profilev1.Attribute{Type: profilev1.Attribute_TYPE_STRING, Description: "a\x00b", AllowedValues: []string{"\x00"}},
	})
	wantFault(t, err, fault.Invalid, profile.ReasonValidationFailed, "attribute.description")
	w.declare(t, "plan", profilev1.Attribute_TYPE_STRING)
	_, err = w.UpdateAttribute(t.Context(), &profilev1.UpdateAttributeRequest{Attribute: &profilev1.Attribute{Name: "attributes/plan", Description: "\x00"}})
	wantFault(t, err, fault.Invalid, profile.ReasonValidationFailed, "attribute.description")
	if n := w.revision(t); n != 1 {
		t.Errorf("refused texts moved the head to %d", n)
	}
}
