package rpc

import (
	"fmt"
	"math"
	"strconv"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// ageAttribute is how callers name the age, which is kept as a birth date.
const ageAttribute = "age"

// decades divide ages unless the caller says how.
var decades = []float64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}

// dimension reads one dimension of a breakdown. field is its path in the request.
func dimension(schema *audience.Schema, d *segmentv1.BreakdownSegmentRequest_Dimension, field string) (audience.Breakdown, error) {
	name, bounds := d.GetAttribute(), d.GetBounds()
	if name == ageAttribute || name == audience.AttrBirthDate {
		name = audience.AttrBirthDate
		if len(bounds) == 0 {
			bounds = decades
		}
	}
	a, ok := schema.Attribute(name)
	if !ok {
		return audience.Breakdown{}, fault.InvalidField(reasonUnknownAttribute, field+".attribute",
			"there is no attribute "+strconv.Quote(name)+"; list the attributes to see their names").With("attribute", name)
	}
	b := audience.Breakdown{Attr: a.Name}
	switch a.Kind {
	case audience.KindConsent:
		return b, fault.InvalidField(reasonValidation, field+".attribute", "nobody is divided by a consent; preview a rule with consent(...) to count who gave it")
	case audience.KindBirth, audience.KindDate, audience.KindDecimal, audience.KindMoney:
	default:
		if len(bounds) > 0 {
			return b, fault.InvalidField(reasonValidation, field+".bounds", "only ages, dates and numbers have bands; leave the bounds out")
		}
	}
	var err error
	b.Bands, err = bands(a, bounds, field+".bounds")
	return b, err
}

// bands makes bands of their upper bounds, which are not in them; the last band has none.
func bands(a *audience.Attribute, bounds []float64, field string) ([]audience.Band, error) {
	if len(bounds) == 0 {
		return nil, nil
	}
	edges := make([]int64, len(bounds))
	for i, v := range bounds {
		n, err := edge(a, v)
		if err != nil {
			return nil, fault.InvalidField(reasonValidation, fault.Index(field, i), err.Error())
		}
		if i > 0 && n <= edges[i-1] {
			return nil, fault.InvalidField(reasonValidation, fault.Index(field, i), "bounds ascend; each is greater than the one before")
		}
		edges[i] = n
	}
	lowest := int64(math.MinInt64)
	if a.Kind == audience.KindBirth {
		lowest = 0
	}
	list := make([]audience.Band, 0, len(edges)+1)
	for i, e := range edges {
		b := audience.Band{Min: lowest, Max: e - 1}
		if i > 0 {
			b.Min = edges[i-1]
		}
		if b.Min > b.Max {
			return nil, fault.InvalidField(reasonValidation, fault.Index(field, i), "no age is below 0")
		}
		b.Label = label(a, b)
		list = append(list, b)
	}
	last := audience.Band{Min: edges[len(edges)-1], Max: math.MaxInt64}
	last.Label = label(a, last)
	return append(list, last), nil
}

// edge returns a bound in the units that the attribute is kept in.
func edge(a *audience.Attribute, v float64) (int64, error) {
	// Beyond 2^53 a float64 no longer holds every integer, and no bound that a person means is there.
	if math.IsNaN(v) || math.Abs(v) > 1<<53 {
		return 0, fmt.Errorf("a bound is a number between -2^53 and 2^53")
	}
	scale := 0
	if a.Kind == audience.KindDecimal || a.Kind == audience.KindMoney {
		scale = a.Scale
	}
	n, err := audience.ParseDecimal(strconv.FormatFloat(v, 'f', -1, 64), scale)
	if err != nil {
		return 0, fmt.Errorf("a bound of this attribute has at most %d digits after the point and is not out of its range", scale)
	}
	if n == math.MinInt64 {
		return 0, fmt.Errorf("a bound is above the least number")
	}
	return n, nil
}

// label writes a band for people: "<18", "18-24", "25+"; dates, and numbers that may be negative, with two points between.
func label(a *audience.Attribute, b audience.Band) string {
	text := func(n int64) string { return strconv.FormatInt(n, 10) }
	between := ".."
	switch a.Kind {
	case audience.KindDate:
		text = audience.FormatDay
	case audience.KindDecimal, audience.KindMoney:
		text = func(n int64) string { return audience.FormatDecimal(n, a.Scale) }
	case audience.KindBirth:
		between = "-"
	}
	switch {
	case b.Min == math.MinInt64, a.Kind == audience.KindBirth && b.Min == 0:
		return "<" + text(b.Max+1)
	case b.Max == math.MaxInt64:
		return text(b.Min) + "+"
	case b.Min == b.Max:
		return text(b.Min)
	}
	return text(b.Min) + between + text(b.Max)
}
