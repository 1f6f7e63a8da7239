package profile

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Warning is something in a profile that is allowed and yet looks wrong: a data steward would want to see it. Nothing is
// changed because of it.
type Warning struct {
	// Field is the path relative to the profile, such as "consents[0].expire_date".
	Field string
	// Code is stable, of the constants below.
	Code string
	// Message says what looks odd and what to do; it is constant for a code and field and never holds a value of the profile.
	Message string
}

// Codes of warnings.
const (
	WarnBornInFuture       = "BIRTH_DATE_IN_FUTURE"
	WarnTooOld             = "BIRTH_DATE_TOO_EARLY"
	WarnTooYoungForJob     = "JOB_LEVEL_BELOW_WORKING_AGE"
	WarnTooYoungToMarry    = "MARITAL_STATUS_BELOW_MARRIAGE_AGE"
	WarnTooYoungForDegree  = "EDUCATION_BELOW_AGE"
	WarnIncomeZero         = "INCOME_ZERO"
	WarnIncomeNegative     = "INCOME_NEGATIVE"
	WarnIncomeTooHigh      = "INCOME_TOO_HIGH"
	WarnConsentInFuture    = "CONSENT_DECIDED_IN_FUTURE"
	WarnConsentTooEarly    = "CONSENT_DECIDED_TOO_EARLY"
	WarnConsentBeforeBirth = "CONSENT_DECIDED_BEFORE_BIRTH"
	WarnConsentNeverHeld   = "CONSENT_EXPIRES_BEFORE_DECISION"
	WarnPostalForm         = "POSTAL_CODE_NOT_OF_COUNTRY"
	WarnPostalRegion       = "POSTAL_CODE_NOT_OF_REGION"
)

// What a person can be, in whole years. The oldest age that was ever proven is 122; above maxPlausibleAge a wrong year is far more
// likely than a right one.
const (
	maxPlausibleAge = 110
	minWorkingAge   = 13
	minMarriageAge  = 16
	minDegreeAge    = 17
)

// maxPlausibleIncome is the yearly income, in hundredths, above which an amount is more likely in a wrong unit: 100 million of
// a currency of ordinary worth.
const maxPlausibleIncome = 100_000_000_00

// smallCurrencies are worth so little that salaries run into the millions; their amounts say nothing about a wrong unit.
var smallCurrencies = map[string]bool{
	"IDR": true, "IRR": true, "VND": true, "LAK": true, "GNF": true, "UZS": true, "SLL": true, "SLE": true, "PYG": true, "UGX": true, "LBP": true,
	"KHR": true, "COP": true, "MGA": true, "TZS": true, "BIF": true, "IQD": true, "MMK": true, "SYP": true, "STN": true, "ZWL": true, "VES": true,
	"KRW": true, "CLP": true, "NGN": true, "CDF": true, "MWK": true, "RWF": true, "SOS": true, "AOA": true, "MNT": true, "ARS": true, "HUF": true,
}

// firstConsentDay is 1995-01-01: no consent to electronic marketing is older than the commercial web and the European
// data protection directive of that year.
var firstConsentDay = audience.DayOf(1995, 1, 1)

// Plausibility returns what looks wrong in a profile on a day (since 1970-01-01), in the order of the fields and always
// the same for the same profile and day. A date that is a whole month or year gives a warning only if every day of it does. The
// profile need not be canonical; fields that Canonicalize refuses are passed over. It is pure and changes nothing.
func Plausibility(p *Profile, today int64) []Warning {
	if p == nil {
		return nil
	}
	c := &checker{p: p, today: today}
	c.birth()
	c.postal()
	c.income()
	for i := range p.Consents {
		c.consent(&p.Consents[i], fault.Index("consents", i))
	}
	return c.found
}

type checker struct {
	p     *Profile
	today int64
	found []Warning
}

func (c *checker) warn(field, code, message string) {
	c.found = append(c.found, Warning{Field: field, Code: code, Message: message})
}

// under reports whether the person was certainly younger than years on a day.
func under(birth Interval, day int64, years int64) bool {
	y, m, d := audience.DateOf(birth.First)
	return day < audience.DayOf(y+years, m, d) // 29 February becomes 1 March in common years
}

// past reports whether the person was certainly older than years on a day: the next birthday is reached.
func past(birth Interval, day int64, years int64) bool {
	y, m, d := audience.DateOf(birth.Last)
	return day >= audience.DayOf(y+years+1, m, d)
}

func validDay(day int64) bool { return day >= audience.MinDay && day <= audience.MaxDay }

// birth checks the birth date with what cannot be at an age.
func (c *checker) birth() {
	b := c.p.BirthDate
	if b == nil || !validDay(b.First) || !validDay(b.Last) || b.First > b.Last || !validDay(c.today) {
		return
	}
	if b.First > c.today {
		c.warn("birth_date", WarnBornInFuture, "the birth date is in the future; check the year, and how a year of two digits is read")
		return // nothing else can be said of the age
	}
	if past(*b, c.today, maxPlausibleAge) {
		c.warn("birth_date", WarnTooOld, "the person would be older than "+strconv.Itoa(maxPlausibleAge)+
			"; a date that stands for an unknown one, or a wrong century, should be left out")
	}
	if j := c.p.JobLevel; j != "" && place(audience.JobLevels, j) > place(audience.JobLevels, "training") && under(*b, c.today, minWorkingAge) {
		c.warn("job_level", WarnTooYoungForJob, "the person is younger than "+strconv.Itoa(minWorkingAge)+
			" and has a job level above training; check the birth date")
	}
	switch c.p.Education {
	case "bachelor", "master", "doctorate":
		if under(*b, c.today, minDegreeAge) {
			c.warn("education", WarnTooYoungForDegree, "the person is younger than "+strconv.Itoa(minDegreeAge)+
				" and has a degree; check the birth date, and whether the education is that of a parent")
		}
	}
	if s := c.p.MaritalStatus; onceMarried[s] && under(*b, c.today, minMarriageAge) {
		c.warn("marital_status", WarnTooYoungToMarry, "the person is younger than "+strconv.Itoa(minMarriageAge)+
			" and is or was married; check the birth date, and whether the status is that of a parent")
	}
}

func (c *checker) income() {
	m := c.p.Income
	switch {
	case m == nil:
	case m.Amount == 0:
		c.warn("income.amount", WarnIncomeZero, "the income is 0, which often stands for unknown; leave it out if it is not known")
	case m.Amount < 0:
		c.warn("income.amount", WarnIncomeNegative, "the income is negative; leave it out unless it is a loss of the year")
	case m.Amount > maxPlausibleIncome && !smallCurrencies[m.Currency]:
		c.warn("income.amount", WarnIncomeTooHigh, "the income is above 100 million; check the unit and how the decimal point is written")
	}
}

func (c *checker) consent(x *Consent, at string) {
	if x.Decided.IsZero() {
		return
	}
	decided := floorDay(x.Decided.Unix())
	switch {
	case validDay(c.today) && decided > c.today+1: // a day of slack: days of the caller may be of another time zone
		c.warn(at+".decide_time", WarnConsentInFuture, "the decision lies in the future; check the date of the form or the clock of the source")
	case decided < firstConsentDay:
		c.warn(at+".decide_time", WarnConsentTooEarly, "the decision was before 1995; a date that stands for an unknown one should be left out")
	}
	if b := c.p.BirthDate; b != nil && validDay(b.First) && decided < b.First {
		c.warn(at+".decide_time", WarnConsentBeforeBirth, "the decision was before the person's birth; check both dates")
	}
	if x.Status == ConsentGranted && x.Expires != nil && *x.Expires <= decided {
		c.warn(at+".expire_date", WarnConsentNeverHeld, "the consent had expired when it was decided, so it never held; check both dates")
	}
}

// postalForms are the forms of postal codes, in capitals without white space around them, of the countries that this project is
// sure of. For Great Britain the form is that of BS 7666, with GIR 0AA, and with or without the space.
var postalForms = map[string]*regexp.Regexp{
	"US": regexp.MustCompile(`^\d{5}([- ]?\d{4})?$`),
	"DE": regexp.MustCompile(`^\d{5}$`),
	"FR": regexp.MustCompile(`^\d{2} ?\d{3}$`),
	"GB": regexp.MustCompile(`^([A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|GIR ?0AA)$`),
	"NL": regexp.MustCompile(`^[1-9]\d{3} ?[A-Z]{2}$`),
}

func (c *checker) postal() {
	if c.p.PostalCode == "" || c.p.Region == "" {
		return
	}
	code := strings.ToUpper(strings.TrimSpace(c.p.PostalCode))
	country, part, _ := strings.Cut(strings.ToUpper(c.p.Region), "-")
	code = strings.TrimPrefix(code, country+"-") // D-10115 has another prefix, but DE-10115 is in use
	form := postalForms[country]
	if form == nil {
		return
	}
	if !form.MatchString(code) {
		c.warn("postal_code", WarnPostalForm, "the postal code has not the form of the region's country; check both, and whether leading zeros were lost")
		return
	}
	if country == "FR" && !frenchDepartment(part, code) {
		c.warn("postal_code", WarnPostalRegion, "the postal code does not begin with the region's department; check both (a few border villages are served from next door)")
	}
}

// onceMarried are marital statuses that take a marriage.
var onceMarried = map[string]bool{"married": true, "separated": true, "divorced": true, "widowed": true}

// frenchDepartment reports whether a postal code can be of a French region as ISO 3166-2 writes it behind FR-. Regions above
// departments, and what has no number, take any.
func frenchDepartment(part, code string) bool {
	code = strings.ReplaceAll(code, " ", "")
	if part == "2A" || part == "2B" || part == "20R" { // Corsica was one department when the codes were made
		return strings.HasPrefix(code, "20")
	}
	if len(part) < 2 || strings.Trim(part, "0123456789") != "" {
		return true
	}
	return strings.HasPrefix(code, part)
}
