package profile

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Profile is what is known of one person. A zero string, nil pointer or nil list is unknown; a list that is not nil and has no
// elements is known to be empty. Texts of closed vocabularies are those of package audience.
type Profile struct {
	// UID is the public id; zero before the store gave one.
	UID audience.UID
	// Revision is that of the last change; 0 before the profile was stored.
	Revision int64
	// CreateTime and UpdateTime are the store's, to the microsecond.
	CreateTime, UpdateTime time.Time

	// GivenName and FamilyName may be known and empty.
	GivenName, FamilyName *string
	// BirthDate is an interval of days: a day, a month or a year.
	BirthDate *Interval
	Gender    string // of audience.Genders
	// Region is an ISO 3166-1 alpha-2 or ISO 3166-2 code.
	Region            string
	PostalCode        string
	JobLevel          string // of audience.JobLevels
	Income            *Money
	Education         string // of audience.Educations
	MaritalStatus     string // of audience.MaritalStatuses
	Occupation        string
	Employer          Employer
	Household         string
	Roles             []string // of audience.Roles
	Lifecycle         string   // of audience.Lifecycles
	Interests         []string
	Values            []string
	Needs             []string
	PreferredChannels []string // of audience.Channels
	PreferredBrands   []string
	// Consents holds at most one decision for each purpose and channel.
	Consents []Consent
	// Identifiers holds each identifier once.
	Identifiers []Identifier
	// Custom holds the values of declared attributes by their id, without "custom.".
	Custom map[string]Value

	// Traits follow from the events of the person and are written by the store alone; nil: no event. With traits the Lifecycle may
	// be computed too.
	Traits *Traits
}

// Interval is a range of days since 1970-01-01, both ends included.
type Interval struct{ First, Last int64 }

// Money is an amount in hundredths of a currency (ISO 4217).
type Money struct {
	Currency string
	Amount   int64
}

// Employer is who a person works for; its zero value is unknown.
type Employer struct {
	Name     string
	Industry string
	Size     string // of audience.EmployerSizes
}

// Consent is a decision about one purpose, over one channel or, where Channel is "", over every channel without a decision of
// its own.
type Consent struct {
	Purpose string // of audience.Purposes
	Channel string // of audience.Channels, or ""
	Status  string // of ConsentStatuses
	// Expires is the first day on which a granted consent no longer holds; nil: it does not expire.
	Expires *int64
	// Decided is when the person decided; zero: unknown. To the microsecond.
	Decided time.Time
	// Source says where the decision was taken; never personal data.
	Source string
}

// ConsentGranted is the status of a consent that was given.
const ConsentGranted = "granted"

// ConsentStatuses are what a person can have decided.
var ConsentStatuses = []string{ConsentGranted, "denied", "withdrawn"}

// IdentifierKinds are the kinds of identifiers.
var IdentifierKinds = []string{KindExternalID, "email", "phone", "mobile_ad_id", "cookie", "device_id", "uid2"}

// KindExternalID is the kind of an identifier that is unique in the store for its source and value.
const KindExternalID = "external_id"

// Identifier is one way of recognising a person elsewhere.
type Identifier struct {
	Kind   string // of IdentifierKinds
	Source string
	Value  string
}

// ExternalID is the part of an external identifier that is unique in a store.
type ExternalID struct{ Source, Value string }

// ExternalIDs returns the external ids among the identifiers, in their order.
func (p *Profile) ExternalIDs() []ExternalID {
	var ids []ExternalID
	for _, id := range p.Identifiers {
		if id.Kind == KindExternalID {
			ids = append(ids, ExternalID{Source: id.Source, Value: id.Value})
		}
	}
	return ids
}

// Value is the value of a custom attribute.
type Value struct {
	Type Type
	// Text is a text, or a decimal number with all digits of the attribute's scale.
	Text string
	// Num is a bool (0 or 1), or a date in days since 1970-01-01.
	Num int64
	// List is a list of texts, never nil after Canonicalize.
	List []string
}

// Etag returns the etag of a resource whose last change has the revision: a quoted text (AIP-154).
func Etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// Clone returns a copy that shares nothing that a caller could change.
func (p *Profile) Clone() *Profile {
	c := *p
	c.GivenName, c.FamilyName = clonePtr(p.GivenName), clonePtr(p.FamilyName)
	c.BirthDate, c.Income = clonePtr(p.BirthDate), clonePtr(p.Income)
	c.Roles, c.Interests, c.Values = slices.Clone(p.Roles), slices.Clone(p.Interests), slices.Clone(p.Values)
	c.Needs, c.PreferredChannels, c.PreferredBrands = slices.Clone(p.Needs), slices.Clone(p.PreferredChannels), slices.Clone(p.PreferredBrands)
	c.Consents = slices.Clone(p.Consents)
	for i := range c.Consents {
		c.Consents[i].Expires = clonePtr(c.Consents[i].Expires)
	}
	c.Identifiers = slices.Clone(p.Identifiers)
	c.Custom = maps.Clone(p.Custom)
	for id, v := range c.Custom {
		v.List = slices.Clone(v.List)
		c.Custom[id] = v
	}
	c.Traits = p.Traits.Clone()
	return &c
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
