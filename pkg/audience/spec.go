package audience

// Spec is an audience spec: who. All parts are optional; parts are ANDed and the values within a part ORed.
type Spec struct {
	// Regions are codes that the region is, or lies in.
	Regions []string
	// PostalCodes are whole codes, or with a trailing * the beginnings of codes.
	PostalCodes []string
	// Age is in whole years on the day of the question.
	Age IntRange
	// Genders, Educations and MaritalStatuses are values of the attributes of these names.
	Genders         []string
	Educations      []string
	MaritalStatuses []string
	// JobLevels are levels, and MinJobLevel ("" = none) is the lowest that suffices, itself included: another part.
	JobLevels   []string
	MinJobLevel string
	Income      MoneyRange
	// Roles and Lifecycles are values of the attributes roles and lifecycle.
	Roles      []string
	Lifecycles []string
	// EmployerIndustries and EmployerSizes are values of employer.industry and employer.size.
	EmployerIndustries []string
	EmployerSizes      []string
	// Interests are those of which one suffices.
	Interests []string
	// AllSegments, AnySegments and ExcludedSegments are segment uids.
	AllSegments, AnySegments, ExcludedSegments []string
	// Personas are the uids of the personas' rule segments, of which one suffices.
	Personas []string
	// Channel and Purposes hold only people with consent: the channel alone for marketing over it, purposes with a channel
	// each over it, purposes alone each by a consent not tied to a channel.
	Channel  string
	Purposes []string
	// Filter is any other question; nil asks none.
	Filter Pred
	// OnePerHousehold keeps the first member of each household of those whom all parts hold; see Households. It is no Step,
	// since it is not a question about one person.
	OnePerHousehold bool
	// AsOf is the day of the question (days since 1970-01-01); nil is the day on which it is asked.
	AsOf *int64
}

// IntRange is a range, both ends included; nil is an open end.
type IntRange struct{ Min, Max *int64 }

// MoneyRange is a range of decimals such as 1234.50, both ends included; "" is an open end. Currency "" is the store's.
type MoneyRange struct{ Min, Max, Currency string }

// Step is one line of the narrowing table.
type Step struct {
	// Label is for people: "age 25 to 34".
	Label string
	// Part is the field path in the spec that the step came from: "age", "excluded_segments".
	Part string
	Pred Pred
}

// The parts of a spec, as steps and field paths name them.
const (
	PartRegions            = "regions"
	PartPostalCodes        = "postal_codes"
	PartAge                = "age"
	PartGenders            = "genders"
	PartJobLevels          = "job_levels"
	PartMinJobLevel        = "min_job_level"
	PartIncome             = "income"
	PartEducations         = "educations"
	PartMaritalStatuses    = "marital_statuses"
	PartRoles              = "roles"
	PartLifecycles         = "lifecycles"
	PartEmployerIndustries = "employer_industries"
	PartEmployerSizes      = "employer_sizes"
	PartInterests          = "interests"
	PartAllSegments        = "all_segments"
	PartAnySegments        = "any_segments"
	PartExcludedSegments   = "excluded_segments"
	PartPersonas           = "personas"
	PartFilter             = "filter"
	PartChannel            = "channel"
	PartPurposes           = "purposes"
	PartOnePerHousehold    = "one_per_household"
	PartAsOf               = "as_of"
)

// Reasons of the violations that Steps finds.
const (
	ReasonUnknownRegion   = "UNKNOWN_REGION"
	ReasonUnknownJobLevel = "UNKNOWN_JOB_LEVEL"
	ReasonUnknownSegment  = "UNKNOWN_SEGMENT"
	ReasonInvalidRange    = "INVALID_RANGE"
)

// MaxAge is the highest age, in years, that a spec can name.
const MaxAge = 150
