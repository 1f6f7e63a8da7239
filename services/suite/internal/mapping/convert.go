package mapping

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/type/date"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// maxAge is the highest age that a person may have, in years.
const maxAge = 150

var notANumber = &Problem{Reason: ReasonInvalidNumber, Message: "the value is not a decimal number as the mapping says numbers are written"}

// day reads a date, or the birth year from an age.
func (s *spec) day(text string, k kind) (*date.Date, *Problem) {
	if s.ageAsOf != nil {
		age, err := strconv.Atoi(strings.TrimSuffix(text, ".0"))
		if err != nil || age < 0 || age > maxAge {
			return nil, &Problem{Reason: ReasonInvalidAge, Message: fmt.Sprintf("the value is not an age in whole years from 0 to %d", maxAge)}
		}
		return &date.Date{Year: int32(s.ageAsOf.birthYear(age))}, nil
	}
	formats := s.date
	if formats == nil {
		formats = []dateFormat{wholeDate}
		if k == kindBirth {
			formats = birthDates
		}
	}
	for _, f := range formats {
		if d, ok := f.parse(text, s.pivot); ok {
			return d, nil
		}
	}
	return nil, &Problem{Reason: ReasonInvalidDate, Message: "the value is not a date of the calendar in a format of the mapping; state the format with date:"}
}

func truth(text string) (bool, *Problem) {
	switch strings.ToLower(text) {
	case "true", "t", "yes", "y", "1", "on":
		return true, nil
	case "false", "f", "no", "n", "0", "off":
		return false, nil
	}
	return false, &Problem{Reason: ReasonInvalidBool, Message: "the value is neither true nor false, yes nor no, 1 nor 0; add a map: to the mapping"}
}

func (x *Mapper) point(s *spec) string {
	comma := x.m.File.Comma
	if s.comma != nil {
		comma = *s.comma
	}
	if comma {
		return ","
	}
	return "."
}

func (x *Mapper) group(s *spec) string {
	if s.thousands != nil {
		return *s.thousands
	}
	return x.m.File.Thousands
}

// number reads a decimal of at most scale digits after the point.
func (x *Mapper) number(s *spec, text string, scale int) (string, *Problem) {
	number, ok := decimal(text, x.point(s), x.group(s))
	if !ok {
		return "", notANumber
	}
	short, exact := rounded(number, scale)
	if !exact && !s.round {
		return "", &Problem{Reason: ReasonInvalidNumber, Message: fmt.Sprintf("the value has more than %d digits after the point; declare a larger scale, or state round: true", scale)}
	}
	return short, nil
}

func (x *Mapper) money(profile *profilev1.Profile, s *spec, text string, scale int, fields []string) *Problem {
	number, problem := x.number(s, text, scale)
	if problem != nil {
		return problem
	}
	currency := s.currency
	if s.currencyIn != nil {
		currency = strings.ToUpper(strings.TrimSpace(fields[s.currencyIn.index]))
		if !currencyCode.MatchString(currency) {
			return &Problem{Reason: ReasonInvalidCurrency, Message: "the currency is not an ISO 4217 code of three letters"}
		}
	}
	profile.Income = &typev1.Money{CurrencyCode: currency, Amount: number}
	return nil
}
