package audience

import (
	"slices"
	"sync"

	"github.com/narrowcast/narrowcast/pkg/audience/region"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// ColumnValue is one profile's value in one column.
type ColumnValue struct {
	Field Field
	// Text is the value where IsText, else Num.
	Text   string
	Num    int64
	IsText bool
}

// Derived is all that the index keeps of one profile: the rows that hold it, FieldLive first, and its values in columns.
// Beyond that the order means nothing. No row and no column occurs twice.
type Derived struct {
	Rows    []Field
	Columns []ColumnValue
}

// Derive turns a profile's facts into rows and columns; nothing else does. By the attribute's kind:
//
//   - Enum, Ordered, Bool: FactField of the value, and PresenceField.
//   - Region: FactField of the code and of all that it lies in, ExactField where the code has parts, and PresenceField.
//   - TextList: FactField of each element, and PresenceField, so that an empty list is present.
//   - Text, Date, Decimal, Consent: ColumnField.
//   - Birth: ColumnField with the first possible day, LastField with the last.
//   - Money: MoneyField, and PresenceField.
//
// Facts that the schema does not declare or does not allow are an Invalid fault that names the attribute and never the value.
// Texts must be in the form of NormalizeText.
func Derive(s *Schema, facts Facts) (Derived, error) {
	var d Derived
	err := d.Set(s, facts)
	return d, err
}

// Set makes d what Derive returns, in the memory that d has: for callers that derive many profiles one after the other.
func (d *Derived) Set(s *Schema, facts Facts) error {
	d.Rows = append(d.Rows[:0], FieldLive)
	d.Columns = d.Columns[:0]
	for name, v := range facts {
		a := s.byName[name]
		if a == nil {
			return fault.New(fault.Invalid, ReasonUnknownAttribute, "the schema has no attribute "+name+"; declare it first").
				With("attribute", name)
		}
		if !d.add(a, v) {
			return fault.New(fault.Invalid, ReasonInvalidFacts, "the value of "+name+" is not one that the schema allows").
				With("attribute", name)
		}
	}
	return nil
}

// add adds one fact; false if the attribute cannot have it.
func (d *Derived) add(a *Attribute, v Value) bool {
	switch a.Kind {
	case KindEnum, KindOrdered:
		i, ok := a.rank[v.Text]
		if !ok {
			return false
		}
		d.Rows = append(d.Rows, a.presence, a.fields[i])
	case KindBool:
		if v.Num != 0 && v.Num != 1 {
			return false
		}
		d.Rows = append(d.Rows, a.presence, a.fields[v.Num])
	case KindRegion:
		fields, ok := regionFields()[v.Text]
		if !ok {
			return false
		}
		d.Rows = append(append(d.Rows, a.presence), fields...)
	case KindTextList:
		return d.addList(a, v.List)
	case KindText:
		if !a.Allows(v.Text) {
			return false
		}
		d.Columns = append(d.Columns, ColumnValue{Field: a.column, Text: v.Text, IsText: true})
	case KindDate, KindConsent:
		if v.Num < MinDay || v.Num > MaxDay {
			return false
		}
		d.Columns = append(d.Columns, ColumnValue{Field: a.column, Num: v.Num})
	case KindDecimal:
		d.Columns = append(d.Columns, ColumnValue{Field: a.column, Num: v.Num})
	case KindBirth:
		if v.Num < MinDay || v.Num > v.Last || v.Last > MaxDay {
			return false
		}
		d.Columns = append(d.Columns, ColumnValue{Field: a.column, Num: v.Num}, ColumnValue{Field: a.last, Num: v.Last})
	case KindMoney:
		if !validCurrency(v.Currency) {
			return false
		}
		d.Rows = append(d.Rows, a.presence)
		d.Columns = append(d.Columns, ColumnValue{Field: MoneyField(a.Name, v.Currency), Num: v.Num})
	default:
		return false
	}
	return true
}

func (d *Derived) addList(a *Attribute, list []string) bool {
	d.Rows = append(d.Rows, a.presence)
	start := len(d.Rows)
	for _, text := range list {
		var f Field
		if i, ok := a.rank[text]; ok {
			f = a.fields[i]
		} else if len(a.Values) > 0 {
			return false
		} else {
			f = FactField(a.Name, text)
		}
		d.Rows = append(d.Rows, f)
	}
	// The same text twice is one element. Short lists, which most are, are searched; long ones sorted.
	if n := len(d.Rows) - start; n <= 16 {
		kept := d.Rows[:start]
		for _, f := range d.Rows[start:] {
			if !slices.Contains(kept[start:], f) {
				kept = append(kept, f)
			}
		}
		d.Rows = kept
	} else {
		slices.Sort(d.Rows[start:])
		d.Rows = append(d.Rows[:start], slices.Compact(d.Rows[start:])...)
	}
	return true
}

// prepare makes the field names that do not depend on a profile.
func (a *Attribute) prepare() {
	a.rank = make(map[string]int, len(a.Values))
	a.fields = nil
	for i, v := range a.Values {
		a.rank[v] = i
		a.fields = append(a.fields, FactField(a.Name, v))
	}
	if a.Kind == KindBool {
		a.fields = []Field{FactField(a.Name, "false"), FactField(a.Name, "true")}
	}
	a.presence = PresenceField(a.Name)
	a.column = ColumnField(a.Name)
	a.last = LastField(a.Name)
}

// Presence returns the field that tells for whom the attribute has a value, and whether that is a column, whose Present
// then tells it, or a row.
func (a *Attribute) Presence() (f Field, column bool) {
	switch a.Kind {
	case KindText, KindDate, KindDecimal, KindBirth, KindConsent:
		return a.column, true
	}
	return a.presence, false
}

// regionFields holds the rows of each region code. The region is the one attribute with a closed list of thousands of values
// and several rows a value; building their names for each profile would be most of Derive's work.
var regionFields = sync.OnceValue(func() map[string][]Field {
	fields := make(map[string][]Field, 6000)
	for code := range region.All() {
		up := region.Ancestors(code)
		list := make([]Field, 0, 2+len(up))
		list = append(list, FactField(AttrRegion, code))
		for _, a := range up {
			list = append(list, FactField(AttrRegion, a))
		}
		if region.IsParent(code) {
			list = append(list, ExactField(AttrRegion, code))
		}
		fields[code] = list
	}
	return fields
})
