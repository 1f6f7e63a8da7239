package campaign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Spec is the question: who. All parts are optional and ANDed, values within a part are ORed. Words are those of the vocabularies of
// pkg/audience; segments, personas and regions stand by name. The JSON names are those of the contract, and the stored form.
type Spec struct {
	Regions     []string `json:"regions,omitempty"`      // ISO 3166-1 alpha-2 or ISO 3166-2 codes
	PostalCodes []string `json:"postal_codes,omitempty"` // one that ends in "*" is a prefix
	Age         *Ages    `json:"age,omitempty"`
	Genders     []string `json:"genders,omitempty"`
	JobLevels   []string `json:"job_levels,omitempty"`
	// MinJobLevel is the lowest job level, itself included; "" asks for none.
	MinJobLevel     string   `json:"min_job_level,omitempty"`
	Income          *Incomes `json:"income,omitempty"`
	Educations      []string `json:"educations,omitempty"`
	MaritalStatuses []string `json:"marital_statuses,omitempty"`
	Roles           []string `json:"roles,omitempty"`
	Lifecycles      []string `json:"lifecycles,omitempty"`
	Industries      []string `json:"employer_industries,omitempty"`
	EmployerSizes   []string `json:"employer_sizes,omitempty"`
	Interests       []string `json:"interests,omitempty"`
	// Segments, "segments/{segment}", of which the person is in every one, in at least one, and in none.
	AllSegments      []string `json:"all_segments,omitempty"`
	AnySegments      []string `json:"any_segments,omitempty"`
	ExcludedSegments []string `json:"excluded_segments,omitempty"`
	// Personas, "personas/{persona}"; who is in the segment of any of them.
	Personas []string `json:"personas,omitempty"`
	// Channel to reach the people over, and purposes: only those who consented. A channel without purposes asks for
	// direct marketing.
	Channel  string   `json:"channel,omitempty"`
	Purposes []string `json:"purposes,omitempty"`
	// OnePerHousehold keeps one person of a household; people without one all stay.
	OnePerHousehold bool `json:"one_per_household,omitempty"`
	// Filter is a rule over the attributes of a profile.
	Filter string `json:"filter,omitempty"`
	// AsOf is the day, since 1970-01-01, on which ages and date-relative predicates are looked at; nil: today. Consents are
	// always those of today.
	AsOf *int64 `json:"as_of,omitempty"`
}

// Ages is a closed range of whole years; a nil bound is open.
type Ages struct {
	Min *int64 `json:"min,omitempty"`
	Max *int64 `json:"max,omitempty"`
}

// Incomes is a closed range of money. Amounts are decimals as text, "" is open; Currency "" is the store's.
type Incomes struct {
	Currency string `json:"currency_code,omitempty"`
	Min      string `json:"min,omitempty"`
	Max      string `json:"max,omitempty"`
}

// Equal reports whether two specs ask the same in the same words.
func (s Spec) Equal(t Spec) bool {
	a, errA := EncodeSpec(s)
	b, errB := EncodeSpec(t)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// IsZero reports whether the spec asks for everybody.
func (s Spec) IsZero() bool { return s.Equal(Spec{}) }

// EncodeSpec returns the stored form of a spec: JSON with the contract's field names, the same bytes for the same spec. Parts that
// are not asked for are left out, so a part that is added later reads as not asked for in what was stored before.
func EncodeSpec(s Spec) ([]byte, error) {
	// An empty list asks what a missing one asks; only the nil form is written, whatever a caller made.
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice && f.Len() == 0 {
			f.SetZero()
		}
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode spec: %w", err)
	}
	return data, nil
}

// DecodeSpec reads the stored form. A part that this program does not know is a Precondition fault, SCHEMA_NEWER: without it the
// audience would be another one, and a wider one.
func DecodeSpec(data []byte) (Spec, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var s Spec
	if err := dec.Decode(&s); err != nil {
		return Spec{}, fault.New(fault.Precondition, ReasonSchemaNewer,
			"the stored spec has a part that this program does not know; start a program at least as new as the one that wrote it").Wrap(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Spec{}, fault.New(fault.DataLoss, ReasonValidation, "the stored spec is damaged; write the audience again")
	}
	return s, nil
}
