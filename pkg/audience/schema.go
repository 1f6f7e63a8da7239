package audience

// Kind says what the values of an attribute are and so which questions can be asked of it.
type Kind uint8

// The kinds of attributes. The index keeps rows for Enum, Ordered, Bool, Region and TextList and columns for
// the others (see Derive).
const (
	KindInvalid  Kind = iota
	KindEnum          // one of Values, without order: == != in
	KindOrdered       // one of Values, in their order: == != < <= > >= in
	KindBool          // true or false: == !=, or the bare attribute
	KindRegion        // ISO 3166-1 alpha-2 or ISO 3166-2 code: == != in, within (containment)
	KindTextList      // a set of texts: in, any, all
	KindText          // one text, NFC, ordered by code point: == != < <= > >= in, prefix
	KindDate          // a calendar date as days since 1970-01-01: comparisons, days between
	KindBirth         // a calendar date known as an interval (a year alone is 1 January to 31 December): age
	KindDecimal       // an exact decimal with Scale digits after the point, kept as an int64 of the smallest unit
	KindMoney         // a decimal of Scale digits in a currency; one column a currency
	KindConsent       // consent for one purpose over one channel, kept as the first day on which it no longer holds
)

// Attribute is one fact that can be known of a profile.
type Attribute struct {
	// Name is how rules name it: a built-in name such as job_level, or custom.<id> for a declared one.
	Name string
	Kind Kind
	// Values are the allowed values of an Enum, Ordered or constrained Text or TextList attribute; for Ordered they are
	// in ascending order. Empty: any value.
	Values []string
	// Scale is the number of digits after the decimal point, 0 to 9, of a Decimal or Money attribute.
	Scale int
	// Sensitive marks a custom attribute whose facts need special protection (GDPR Article 9 and the like).
	Sensitive bool
	// Revision is the profile store's revision at which a custom attribute was declared; 0 for built-in attributes.
	// A row of this attribute that is absent from a block represented up to an older revision is unknown, not empty.
	Revision uint64

	// Made by NewSchema from the above, so that Derive neither builds a field's name nor searches a value in its hot path.
	rank     map[string]int
	fields   []Field
	presence Field
	column   Field
	last     Field
}

// Schema is the set of attributes that rules and specs are checked against. A Schema is immutable once shared.
type Schema struct {
	// Currency is the store's currency (ISO 4217) in which money without a named currency is compared.
	Currency string
	byName   map[string]*Attribute
	names    []string
}

// Built-in attribute names, as rules and specs write them.
const (
	AttrBirthDate         = "birth_date"
	AttrGender            = "gender"
	AttrRegion            = "region"
	AttrPostalCode        = "postal_code"
	AttrJobLevel          = "job_level"
	AttrIncome            = "income"
	AttrEducation         = "education"
	AttrMaritalStatus     = "marital_status"
	AttrOccupation        = "occupation"
	AttrEmployerName      = "employer.name"
	AttrEmployerIndustry  = "employer.industry"
	AttrEmployerSize      = "employer.size"
	AttrHousehold         = "household"
	AttrRoles             = "roles"
	AttrLifecycle         = "lifecycle"
	AttrInterests         = "interests"
	AttrValues            = "values"
	AttrNeeds             = "needs"
	AttrPreferredChannels = "preferred_channels"
	AttrPreferredBrands   = "preferred_brands"
	AttrConsentPrefix     = "consent."
	AttrCustomPrefix      = "custom."
)

// Closed vocabularies of the built-in attributes. The wire enums of narrowcast.type.v1 map onto exactly these texts.
var (
	Genders         = []string{"female", "male", "other"}
	JobLevels       = []string{"unpaid", "training", "entry", "senior", "manager", "director", "vp", "cxo", "partner", "owner"}
	Educations      = []string{"none", "primary", "secondary", "vocational", "tertiary", "bachelor", "master", "doctorate"}
	MaritalStatuses = []string{"single", "married", "cohabiting", "separated", "divorced", "widowed"}
	EmployerSizes   = []string{"1", "2-10", "11-50", "51-200", "201-500", "501-1000", "1001-5000", "5001-10000", "10001+"}
	Roles           = []string{"consumer", "buyer", "prescriber"}
	Lifecycles      = []string{"prospect", "customer", "lapsed"}
	Channels        = []string{"email", "sms", "phone", "post", "push", "messaging", "web", "in_person"}
	Purposes        = []string{"marketing", "ads_personalisation", "ads_user_data", "content_personalisation", "profiling", "measurement", "data_sharing"}
)
