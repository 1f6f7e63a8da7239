package wire

import (
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// ReasonTypeMismatch is the reason of the fault about a value whose type is not the declared one.
const ReasonTypeMismatch = "ATTRIBUTE_TYPE_MISMATCH"

// MoneyScale is the number of digits after the point of money.
const MoneyScale = 2

// Money returns the currency and the amount, in hundredths, of money. A malformed or too large amount is an Invalid fault at
// "amount".
func Money(m *typev1.Money) (currency string, amount int64, err error) {
	amount, err = audience.ParseDecimal(m.GetAmount(), MoneyScale)
	if err != nil {
		return "", 0, under("amount", err)
	}
	return m.GetCurrencyCode(), amount, nil
}

// MoneyOf is the inverse of Money.
func MoneyOf(currency string, amount int64) *typev1.Money {
	return &typev1.Money{CurrencyCode: currency, Amount: audience.FormatDecimal(amount, MoneyScale)}
}

// CustomValue returns the value of a custom attribute as the engine keeps it; texts are brought to NFC. A value of another type
// than declared, and a number or date that is wrong, is an Invalid fault whose field is relative to v. Whether the
// attribute allows the value is not checked.
func CustomValue(a *audience.Attribute, v *typev1.AttributeValue) (audience.Value, error) {
	switch x := v.GetValue().(type) {
	case *typev1.AttributeValue_Text:
		if a.Kind == audience.KindText {
			return audience.Value{Text: audience.NormalizeText(x.Text)}, nil
		}
	case *typev1.AttributeValue_Decimal:
		if a.Kind == audience.KindDecimal {
			n, err := audience.ParseDecimal(x.Decimal, a.Scale)
			if err != nil {
				return audience.Value{}, under("decimal", err)
			}
			return audience.Value{Num: n}, nil
		}
	case *typev1.AttributeValue_Boolean:
		if a.Kind == audience.KindBool {
			if x.Boolean {
				return audience.Value{Num: 1}, nil
			}
			return audience.Value{}, nil
		}
	case *typev1.AttributeValue_Date:
		if a.Kind == audience.KindDate {
			day, err := Day(x.Date)
			if err != nil {
				return audience.Value{}, under("date", err)
			}
			return audience.Value{Num: day}, nil
		}
	case *typev1.AttributeValue_Texts:
		if a.Kind == audience.KindTextList {
			return audience.Value{List: Texts(x.Texts.GetValues())}, nil
		}
	}
	return audience.Value{}, fault.InvalidField(ReasonTypeMismatch, "", "the value's type is not that of the attribute "+a.Name).
		With("attribute", a.Name)
}

// CustomValueOf is the inverse of CustomValue; nil for a kind that no custom attribute has.
func CustomValueOf(a *audience.Attribute, v audience.Value) *typev1.AttributeValue {
	switch a.Kind {
	case audience.KindText:
		return &typev1.AttributeValue{Value: &typev1.AttributeValue_Text{Text: v.Text}}
	case audience.KindDecimal:
		return &typev1.AttributeValue{Value: &typev1.AttributeValue_Decimal{Decimal: audience.FormatDecimal(v.Num, a.Scale)}}
	case audience.KindBool:
		return &typev1.AttributeValue{Value: &typev1.AttributeValue_Boolean{Boolean: v.Num != 0}}
	case audience.KindDate:
		return &typev1.AttributeValue{Value: &typev1.AttributeValue_Date{Date: DayDate(v.Num)}}
	case audience.KindTextList:
		return &typev1.AttributeValue{Value: &typev1.AttributeValue_Texts{Texts: &typev1.TextList{Values: v.List}}}
	}
	return nil
}

// kinds are the engine's kinds of the declared types.
var kinds = map[profilev1.Attribute_Type]audience.Kind{
	profilev1.Attribute_TYPE_STRING:      audience.KindText,
	profilev1.Attribute_TYPE_DECIMAL:     audience.KindDecimal,
	profilev1.Attribute_TYPE_BOOL:        audience.KindBool,
	profilev1.Attribute_TYPE_DATE:        audience.KindDate,
	profilev1.Attribute_TYPE_STRING_LIST: audience.KindTextList,
}

// SchemaAttribute returns a declaration as the engine's schema takes it, named custom.{id}. A declaration whose name or type
// says nothing gives an attribute of KindInvalid, which audience.NewSchema refuses.
func SchemaAttribute(a *profilev1.Attribute) audience.Attribute {
	id, _ := AttributeID(a.GetName())
	return audience.Attribute{
		Name: audience.AttrCustomPrefix + id, Kind: kinds[a.GetType()], Values: a.GetAllowedValues(), Scale: int(a.GetScale()),
		Sensitive: a.GetSensitive(), Revision: uint64(max(a.GetRevision(), 0)),
	}
}

// under nests the fields of a fault; an engine's fault without fields gets this one.
func under(field string, err error) error {
	f := fault.As(err)
	if f == nil {
		return err
	}
	if len(f.Violations) == 0 {
		return f.At(field)
	}
	return f.Under(field)
}
