package audience

import (
	"strconv"
	"strings"
)

// FactField is the row of the profiles whose attribute has the value, is in a list of which it is an element, or for a
// Region lies in it.
func FactField(attr, value string) Field { return Field("f/" + attr + "=" + value) }

// ExactField is the row of the profiles whose Region is the code itself and not a part of it. Only codes that have parts
// have one; for the others FactField is exact.
func ExactField(attr, code string) Field { return Field("f/" + attr + "==" + code) }

// PresenceField is the row of the profiles for whom the attribute has a value (attributes kept as rows, and Money).
func PresenceField(attr string) Field { return Field("p/" + attr) }

// SegmentField is the row of a segment's members under one state of its rule.
func SegmentField(uid string, ruleState uint64) Field {
	return Field("s/" + uid + "@" + strconv.FormatUint(ruleState, 10))
}

// SegmentDayField is the row, on one day, of a segment whose rule state looks at the date.
func SegmentDayField(uid string, ruleState uint64, day int64) Field {
	return SegmentField(uid, ruleState) + Field("@"+strconv.FormatInt(day, 10))
}

// ColumnField is the column of a Text, Date, Decimal or Consent attribute, and of a Birth's first possible days.
func ColumnField(attr string) Field { return Field("c/" + attr) }

// LastField is the column of a Birth's last possible days.
func LastField(attr string) Field { return Field("c/" + attr + ".last") }

// MoneyField is the column of a Money's values in one currency.
func MoneyField(attr, currency string) Field { return Field("c/" + attr + ":" + currency) }

// onlyLive reports whether a row or column holds live ordinals only: all but segments' rows do.
func (f Field) onlyLive() bool {
	return f == FieldLive || len(f) > 2 && f[1] == '/' && (f[0] == 'f' || f[0] == 'p' || f[0] == 'c')
}

// birthLast is LastField of the attribute whose ColumnField f is, "" where f is not that of a Birth.
func (f Field) birthLast() Field {
	if f != birthFirst {
		return ""
	}
	return birthLast
}

var birthFirst, birthLast = ColumnField(AttrBirthDate), LastField(AttrBirthDate)

// Class says what a field holds.
type Class uint8

// The classes of fields.
const (
	ClassInvalid Class = iota
	ClassLive
	ClassFact
	ClassPresence
	ClassSegment
	ClassColumn
)

// FieldParts is a field's name taken apart. Which parts count depends on the class.
type FieldParts struct {
	Class Class
	// Attr is the attribute of a fact, a presence row or a column.
	Attr string
	// Value is a fact's value; Exact marks the row of a region without its parts.
	Value string
	Exact bool
	// Last marks a Birth's column of last days, Currency is that of a Money's column.
	Last     bool
	Currency string
	// Segment, RuleState and Day are a segment's; Dated tells whether it has a day.
	Segment   string
	RuleState uint64
	Dated     bool
	Day       int64
}

// ParseField takes a field's name apart. False if it is not the name of a row or column, as for a block's uid dictionary.
func ParseField(f Field) (FieldParts, bool) {
	if f == FieldLive {
		return FieldParts{Class: ClassLive}, true
	}
	if len(f) < 3 || f[1] != '/' {
		return FieldParts{}, false
	}
	body := string(f[2:])
	switch f[0] {
	case 'f':
		attr, value, ok := strings.Cut(body, "=")
		if !ok || attr == "" {
			return FieldParts{}, false
		}
		p := FieldParts{Class: ClassFact, Attr: attr, Value: value}
		if code, exact := strings.CutPrefix(value, "="); exact && attr == AttrRegion {
			p.Value, p.Exact = code, true
		}
		return p, true
	case 'p':
		return FieldParts{Class: ClassPresence, Attr: body}, true
	case 'c':
		p := FieldParts{Class: ClassColumn, Attr: body}
		if attr, currency, ok := strings.Cut(body, ":"); ok {
			p.Attr, p.Currency = attr, currency
		} else if attr, ok := strings.CutSuffix(body, ".last"); ok && attr == AttrBirthDate {
			p.Attr, p.Last = attr, true
		}
		return p, p.Attr != ""
	case 's':
		uid, rest, ok := strings.Cut(body, "@")
		if !ok || uid == "" {
			return FieldParts{}, false
		}
		p := FieldParts{Class: ClassSegment, Segment: uid}
		state, day, dated := strings.Cut(rest, "@")
		var err error
		if p.RuleState, err = strconv.ParseUint(state, 10, 64); err != nil {
			return FieldParts{}, false
		}
		if dated {
			p.Dated = true
			if p.Day, err = strconv.ParseInt(day, 10, 64); err != nil {
				return FieldParts{}, false
			}
		}
		return p, true
	}
	return FieldParts{}, false
}
