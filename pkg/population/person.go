package population

// Date is a calendar date. Month and Day are 0 where only the year is known; the zero Date is no date.
type Date struct {
	Year, Month, Day int
}

// IsZero reports whether there is no date.
func (d Date) IsZero() bool { return d.Year == 0 }

// Answer is a yes or no that may be missing.
type Answer uint8

// The answers.
const (
	Unknown Answer = iota
	No
	Yes
)

// Money is an amount in hundredths of a currency. An empty currency is no amount.
type Money struct {
	Currency string // ISO 4217
	Cents    int64  // hundredths, also for currencies without coins
}

// Employer is who a person works for; empty parts are unknown.
type Employer struct {
	Name, Industry string
	Size           string // band, such as "51-200"
}

// Consent is a person's decision about one purpose over one channel.
type Consent struct {
	Purpose string // such as "marketing"
	Channel string // such as "email"; empty: the general decision for the purpose
	Status  string // "granted", "denied" or "withdrawn"
	Expires Date   // first day on which a granted consent no longer holds; zero: never
}

// Person is one synthetic person. An empty text, nil slice or zero value is unknown, which is neither empty nor false; an
// empty slice that is not nil is known and empty.
type Person struct {
	Index         int    // position in the population, from 0
	ExternalID    string // unique in the population, such as "P0000042"; never missing
	GivenName     string
	FamilyName    string
	Birth         Date
	Gender        string
	Region        string // ISO 3166-1 alpha-2 or ISO 3166-2
	PostalCode    string
	JobLevel      string
	Income        Money // a year, before tax
	Education     string
	MaritalStatus string
	Occupation    string
	Employer      Employer
	Household     string // shared by those who live together
	Roles         []string
	Lifecycle     string
	Interests     []string
	Values        []string
	Needs         []string
	Channels      []string // preferred ways of being reached
	Brands        []string
	Consents      []Consent
	Email         string
	Phone         string // E.164

	// Custom attributes, declared by [Attributes].
	LoyaltyPoints int64 // hundredths of a point; -1: unknown
	Newsletter    Answer
	MemberSince   Date
	Tier          string
	Hobbies       []string
}

// AttributeType is the type of a custom attribute.
type AttributeType uint8

// The types.
const (
	TypeString AttributeType = iota + 1
	TypeDecimal
	TypeBool
	TypeDate
	TypeStringList
)

// Attribute declares a custom attribute that persons have a value of.
type Attribute struct {
	ID          string // as rules write it behind "custom."
	Type        AttributeType
	Scale       int      // digits after the point of a decimal
	Allowed     []string // closed list of values; none: any
	Description string
}

// Tiers are the allowed values of the custom attribute tier, in ascending order of worth.
var Tiers = []string{"basic", "silver", "gold", "platinum"}

// Attributes returns the declarations of the custom attributes of a [Person].
func Attributes() []Attribute {
	return []Attribute{
		{ID: "loyalty_points", Type: TypeDecimal, Scale: 2, Description: "points collected and not yet spent"},
		{ID: "newsletter", Type: TypeBool, Description: "reads the newsletter"},
		{ID: "member_since", Type: TypeDate, Description: "day on which the person joined the loyalty programme"},
		{ID: "tier", Type: TypeString, Allowed: Tiers, Description: "rank in the loyalty programme"},
		{ID: "hobbies", Type: TypeStringList, Description: "what the person does in spare time, in their own words"},
	}
}
