package wire

import (
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Vocabulary is the translation of one enum: its value n+1 has the n-th text. The value 0 and "" both mean unknown.
type Vocabulary[E ~int32] struct {
	texts  []string
	values map[string]E
}

func vocabulary[E ~int32](texts []string) Vocabulary[E] {
	v := Vocabulary[E]{texts: texts, values: make(map[string]E, len(texts))}
	for i, text := range texts {
		v.values[text] = E(i + 1)
	}
	return v
}

// Text returns the engine's text of an enum value, "" for the unspecified one and for one that is not defined.
func (v Vocabulary[E]) Text(value E) string {
	if value < 1 || int(value) > len(v.texts) {
		return ""
	}
	return v.texts[value-1]
}

// Value returns the enum value of a text, the unspecified one for "" and for a text that has none.
func (v Vocabulary[E]) Value(text string) E { return v.values[text] }

// TextsOf returns the texts of several values, in their order, without those that have none. Never nil: a list that is there
// and empty is not an absent one.
func (v Vocabulary[E]) TextsOf(values []E) []string {
	texts := make([]string, 0, len(values))
	for _, value := range values {
		if text := v.Text(value); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

// ValuesOf is the inverse of TextsOf.
func (v Vocabulary[E]) ValuesOf(texts []string) []E {
	values := make([]E, 0, len(texts))
	for _, text := range texts {
		if value := v.Value(text); value != 0 {
			values = append(values, value)
		}
	}
	return values
}

// Texts of the enums for which the engine has no words, because no rule compares them.
var (
	ConsentStatusTexts  = []string{"granted", "denied", "withdrawn"}
	IdentifierKindTexts = []string{"external_id", "email", "phone", "mobile_ad_id", "cookie", "device_id", "uid2"}
)

// The enums of narrowcast.type.v1.
var (
	Genders         = vocabulary[typev1.Gender](audience.Genders)
	JobLevels       = vocabulary[typev1.JobLevel](audience.JobLevels)
	Educations      = vocabulary[typev1.Education](audience.Educations)
	MaritalStatuses = vocabulary[typev1.MaritalStatus](audience.MaritalStatuses)
	EmployerSizes   = vocabulary[typev1.EmployerSize](audience.EmployerSizes)
	Roles           = vocabulary[typev1.Role](audience.Roles)
	Lifecycles      = vocabulary[typev1.Lifecycle](audience.Lifecycles)
	Channels        = vocabulary[typev1.Channel](audience.Channels)
	Purposes        = vocabulary[typev1.ConsentPurpose](audience.Purposes)
	ConsentStatuses = vocabulary[typev1.ConsentStatus](ConsentStatusTexts)
	IdentifierKinds = vocabulary[typev1.IdentifierKind](IdentifierKindTexts)
)
