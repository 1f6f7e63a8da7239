package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// specFlags state an audience. Parts are ANDed, values within a part ORed.
type specFlags struct {
	Spec            string   `help:"File with the spec as JSON (AudienceSpec), - for standard input; flags are added to it." placeholder:"FILE" group:"Who"`
	Region          []string `help:"ISO 3166 codes, such as FR, FR-NAQ, FR-40." group:"Who"`
	PostalCode      []string `help:"Postal codes; 331* is a prefix." group:"Who"`
	Age             string   `help:"Age in years: 25-34, 25- or -34." placeholder:"RANGE" group:"Who"`
	Gender          []string `help:"female, male, other." group:"Who"`
	JobLevel        []string `help:"unpaid, training, entry, senior, manager, director, vp, cxo, partner, owner." group:"Who"`
	MinJobLevel     string   `help:"Lowest job level." placeholder:"LEVEL" group:"Who"`
	Income          string   `help:"Yearly income: 30000-50000, 50000-, -20000; USD:50000- names the currency." placeholder:"RANGE" group:"Who"`
	Education       []string `help:"none, primary, secondary, vocational, tertiary, bachelor, master, doctorate." group:"Who"`
	MaritalStatus   []string `help:"single, married, cohabiting, separated, divorced, widowed." group:"Who"`
	Role            []string `help:"consumer, buyer, prescriber." group:"Who"`
	Lifecycle       []string `help:"prospect, customer, lapsed." group:"Who"`
	Industry        []string `help:"Industry of the employer." group:"Who"`
	EmployerSize    []string `help:"1, 2-10, 11-50, 51-200, 201-500, 501-1000, 1001-5000, 5001-10000, 10001+." group:"Who"`
	Interest        []string `help:"Interests; any of them." group:"Who"`
	Segment         []string `help:"Segments: members of all of them." group:"Who"`
	AnySegment      []string `help:"Segments: members of at least one." group:"Who"`
	Exclude         []string `help:"Segments: members of none." group:"Who"`
	Persona         []string `help:"Personas: whoever any of them stands for." group:"Who"`
	Channel         string   `help:"Reachable over: email, sms, phone, post, push, messaging, web, in_person." group:"Who"`
	Purpose         []string `help:"Consented to: marketing, ads_personalisation, profiling, measurement ..." group:"Who"`
	OnePerHousehold bool     `help:"At most one person of a household." group:"Who"`
	Filter          string   `help:"CEL filter, such as 'custom.balance >= 0 && !(\"golf\" in interests)'." placeholder:"CEL" group:"Who"`
	AsOf            string   `help:"Day on which ages and dates are looked at, such as 2014-12-31." placeholder:"DAY" group:"Who"`
}

// Reasons of faults that are found before a request is sent; the service has the same ones.
const (
	reasonUnknownJobLevel = "UNKNOWN_JOB_LEVEL"
	reasonUnknownValue    = "UNKNOWN_VALUE"
	reasonInvalidRange    = "INVALID_RANGE"
	reasonInvalidNumber   = "INVALID_NUMBER"
	reasonInvalidDate     = "INVALID_DATE"
)

// enums reads values of a closed vocabulary.
func enums[E ~int32](wrong *fault.Violations, path, reason string, words wire.Vocabulary[E], allowed []string, texts []string) []E {
	var out []E
	for i, text := range texts {
		v := words.Value(strings.ToLower(text))
		if v == 0 {
			at := path
			if len(texts) > 1 || strings.HasSuffix(path, "s") {
				at = fault.Index(path, i)
			}
			wrong.Add(at, reason, fmt.Sprintf("%q is not one of %s", text, strings.Join(allowed, ", ")))
			continue
		}
		out = append(out, v)
	}
	return out
}

func enum[E ~int32](wrong *fault.Violations, path, reason string, words wire.Vocabulary[E], allowed []string, text string) E {
	if text == "" {
		return 0
	}
	if list := enums(wrong, path, reason, words, allowed, []string{text}); len(list) == 1 {
		return list[0]
	}
	return 0
}

// message builds the spec; stated is false if no flag was given.
func (f *specFlags) message(stdin io.Reader) (spec *campaignv1.AudienceSpec, stated bool, err error) {
	spec = &campaignv1.AudienceSpec{}
	if f.Spec != "" {
		text, err := readFile(f.Spec, stdin)
		if err != nil {
			return nil, true, err
		}
		if err := protojson.Unmarshal(text, spec); err != nil {
			return nil, true, usage("--spec=%s is not an AudienceSpec in JSON: %v", f.Spec, jsonError(text, err))
		}
	}
	wrong := &fault.Violations{}
	add := &campaignv1.AudienceSpec{
		Regions: f.Region, PostalCodes: f.PostalCode,
		Genders:         enums(wrong, "spec.genders", reasonUnknownValue, wire.Genders, audience.Genders, f.Gender),
		JobLevels:       enums(wrong, "spec.job_levels", reasonUnknownJobLevel, wire.JobLevels, audience.JobLevels, f.JobLevel),
		MinJobLevel:     enum(wrong, "spec.min_job_level", reasonUnknownJobLevel, wire.JobLevels, audience.JobLevels, f.MinJobLevel),
		Educations:      enums(wrong, "spec.educations", reasonUnknownValue, wire.Educations, audience.Educations, f.Education),
		MaritalStatuses: enums(wrong, "spec.marital_statuses", reasonUnknownValue, wire.MaritalStatuses, audience.MaritalStatuses, f.MaritalStatus),
		Roles:           enums(wrong, "spec.roles", reasonUnknownValue, wire.Roles, audience.Roles, f.Role),
		Lifecycles:      enums(wrong, "spec.lifecycles", reasonUnknownValue, wire.Lifecycles, audience.Lifecycles, f.Lifecycle),
		EmployerSizes:   enums(wrong, "spec.employer_sizes", reasonUnknownValue, wire.EmployerSizes, audience.EmployerSizes, f.EmployerSize),
		Channel:         enum(wrong, "spec.channel", reasonUnknownValue, wire.Channels, audience.Channels, f.Channel),
		Purposes:        enums(wrong, "spec.purposes", reasonUnknownValue, wire.Purposes, audience.Purposes, f.Purpose),
		Interests:       f.Interest, EmployerIndustries: f.Industry,
		AllSegments: resources("segments", f.Segment), AnySegments: resources("segments", f.AnySegment),
		ExcludedSegments: resources("segments", f.Exclude), Personas: resources("personas", f.Persona),
		OnePerHousehold: f.OnePerHousehold, Filter: f.Filter,
		Age: f.age(wrong), Income: f.income(wrong), AsOf: day(wrong, "spec.as_of", f.AsOf),
	}
	if err := wrong.Err(); err != nil {
		return nil, true, err
	}
	stated = f.Spec != "" || proto.Size(add) > 0
	proto.Merge(spec, add)
	return spec, stated, nil
}

// age reads 25-34, 25-, 25+, -34 or 30.
func (f *specFlags) age(wrong *fault.Violations) *typev1.AgeRange {
	if f.Age == "" {
		return nil
	}
	lo, hi, ranged := strings.Cut(strings.TrimSuffix(f.Age, "+"), "-")
	if strings.HasSuffix(f.Age, "+") {
		ranged = true
	}
	if !ranged {
		hi = lo
	}
	bound := func(text string) (*int32, bool) {
		if text == "" {
			return nil, true
		}
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
		v := int32(n)
		return &v, err == nil && n >= 0
	}
	least, ok1 := bound(lo)
	most, ok2 := bound(hi)
	if !ok1 || !ok2 || least == nil && most == nil {
		wrong.Add("spec.age", reasonInvalidNumber, fmt.Sprintf("%q is not a range of ages in years such as 25-34, 25- or -34", f.Age))
		return nil
	}
	return &typev1.AgeRange{Min: least, Max: most}
}

// income reads 30000-50000, 50000- or -20000, with a currency before a colon.
func (f *specFlags) income(wrong *fault.Violations) *typev1.MoneyRange {
	if f.Income == "" {
		return nil
	}
	currency, amounts, named := strings.Cut(f.Income, ":")
	if !named {
		currency, amounts = "", f.Income
	}
	lo, hi, ranged := strings.Cut(amounts, "-")
	if !ranged {
		hi = lo
	}
	for _, text := range []string{lo, hi} {
		if _, err := strconv.ParseFloat(text, 64); text != "" && err != nil {
			wrong.Add("spec.income", reasonInvalidNumber, fmt.Sprintf("%q is not a range of amounts such as 30000-50000 or USD:50000-", f.Income))
			return nil
		}
	}
	return &typev1.MoneyRange{CurrencyCode: strings.ToUpper(currency), Min: lo, Max: hi}
}

// day reads YYYY-MM-DD.
func day(wrong *fault.Violations, path, text string) *date.Date {
	if text == "" {
		return nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		wrong.Add(path, reasonInvalidDate, fmt.Sprintf("%q is not a day of the calendar such as 2014-12-31", text))
		return nil
	}
	return &date.Date{Year: int32(t.Year()), Month: int32(t.Month()), Day: int32(t.Day())}
}

// readFile reads a file, or standard input for "-".
func readFile(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		text, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return text, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, usage("%v", err)
	}
	return text, nil
}

// jsonError prefers the error of the JSON reader, which names the place in a stable way, where the text is no JSON at all.
func jsonError(text []byte, err error) string {
	var any any
	if plain := json.Unmarshal(text, &any); plain != nil {
		return plain.Error()
	}
	return strings.ReplaceAll(err.Error(), "\u00a0", " ")
}
