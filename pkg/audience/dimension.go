package audience

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// ReasonInvalidDimension is the reason of a dimension whose bounds or values cannot be.
const ReasonInvalidDimension = "VALIDATION_FAILED"

// AttrAge is how callers name the age, which is kept as a birth date.
const AttrAge = "age"

// decades divide ages unless the caller says how.
var decades = []float64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}

// NewBreakdown reads how a caller wants people divided by one attribute. bounds are the upper bounds, not included, of the bands of an
// age in years, of a date in days since 1970-01-01, or of a number in units; without them an age is divided into decades. values, if
// there are any, are those to tell apart of another attribute.
//
// Errors: Invalid, with paths attribute, bounds, bounds[i] and values[i].
func NewBreakdown(s *Schema, attribute string, bounds []float64, values []string) (Breakdown, error) {
	name := attribute
	if name == AttrAge || name == AttrBirthDate {
		name = AttrBirthDate
		if len(bounds) == 0 {
			bounds = decades
		}
	}
	a, ok := s.Attribute(name)
	if !ok {
		return Breakdown{}, fault.InvalidField(ReasonUnknownAttribute, "attribute",
			"there is no attribute "+strconv.Quote(name)+"; list the attributes to see their names").With("attribute", name)
	}
	d := Breakdown{Attr: a.Name, Values: values}
	switch a.Kind {
	case KindConsent:
		return d, fault.InvalidField(ReasonInvalidDimension, "attribute", "nobody is divided by a consent; count with a filter of consent(...) who gave it")
	case KindBirth, KindDate, KindDecimal, KindMoney:
		if len(values) > 0 {
			return d, fault.InvalidField(ReasonInvalidDimension, "values", "ages, dates and numbers are told apart by bounds; leave the values out")
		}
	default:
		if len(bounds) > 0 {
			return d, fault.InvalidField(ReasonInvalidDimension, "bounds", "only ages, dates and numbers have bands; leave the bounds out")
		}
	}
	for i, v := range values {
		switch {
		case a.Kind == KindRegion && !region.Valid(v):
			return d, fault.InvalidField(ReasonUnknownRegion, fault.Index("values", i), strconv.Quote(v)+" is no ISO 3166 code of a country or subdivision")
		case a.Kind == KindBool && v != "false" && v != "true",
			len(a.Values) > 0 && !slices.Contains(a.Values, v):
			return d, fault.InvalidField(ReasonUnknownValue, fault.Index("values", i), "the attribute has no value "+strconv.Quote(v)).With("attribute", a.Name)
		}
	}
	var err error
	d.Bands, err = bandsOf(a, bounds)
	return d, err
}

// bandsOf makes bands of their upper bounds, which are not in them; the last band has none.
func bandsOf(a *Attribute, bounds []float64) ([]Band, error) {
	if len(bounds) == 0 {
		return nil, nil
	}
	edges := make([]int64, len(bounds))
	for i, v := range bounds {
		n, err := edgeOf(a, v)
		if err != nil {
			return nil, fault.InvalidField(ReasonInvalidDimension, fault.Index("bounds", i), err.Error())
		}
		if i > 0 && n <= edges[i-1] {
			return nil, fault.InvalidField(ReasonInvalidDimension, fault.Index("bounds", i), "bounds ascend; each is greater than the one before")
		}
		edges[i] = n
	}
	lowest := int64(math.MinInt64)
	if a.Kind == KindBirth {
		lowest = 0
	}
	list := make([]Band, 0, len(edges)+1)
	for i, e := range edges {
		b := Band{Min: lowest, Max: e - 1}
		if i > 0 {
			b.Min = edges[i-1]
		}
		if b.Min > b.Max {
			return nil, fault.InvalidField(ReasonInvalidDimension, fault.Index("bounds", i), "no age is below 0")
		}
		b.Label = labelOf(a, b)
		list = append(list, b)
	}
	last := Band{Min: edges[len(edges)-1], Max: math.MaxInt64}
	last.Label = labelOf(a, last)
	return append(list, last), nil
}

// edgeOf returns a bound in the units that the attribute is kept in.
func edgeOf(a *Attribute, v float64) (int64, error) {
	// Beyond 2^53 a float64 no longer holds every integer, and no bound that a person means is there.
	if math.IsNaN(v) || math.Abs(v) > 1<<53 {
		return 0, errors.New("a bound is a number between -2^53 and 2^53")
	}
	scale := 0
	if a.Kind == KindDecimal || a.Kind == KindMoney {
		scale = a.Scale
	}
	n, err := ParseDecimal(strconv.FormatFloat(v, 'f', -1, 64), scale)
	if err != nil {
		return 0, fmt.Errorf("a bound of this attribute has at most %d digits after the point and is not out of its range", scale)
	}
	if n == math.MinInt64 {
		return 0, errors.New("a bound is above the least number")
	}
	return n, nil
}

// labelOf writes a band for people: "<18", "18-24", "25+"; dates, and numbers that may be negative, with two points between.
func labelOf(a *Attribute, b Band) string {
	between := ".."
	if a.Kind == KindBirth {
		between = "-"
	}
	switch {
	case b.Min == math.MinInt64, a.Kind == KindBirth && b.Min == 0:
		return "<" + a.text(b.Max+1)
	case b.Max == math.MaxInt64:
		return a.text(b.Min) + "+"
	case b.Min == b.Max:
		return a.text(b.Min)
	}
	return a.text(b.Min) + between + a.text(b.Max)
}

// text writes a value of a column of numbers for people.
func (a *Attribute) text(n int64) string {
	switch a.Kind {
	case KindDate:
		return FormatDay(n)
	case KindDecimal, KindMoney:
		return FormatDecimal(n, a.Scale)
	}
	return strconv.FormatInt(n, 10)
}
