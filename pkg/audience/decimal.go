package audience

import (
	"strconv"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// MaxScale is the largest number of digits after the point that an attribute can have.
const MaxScale = 9

// ReasonInvalidNumber is the reason of the fault about a number that is not written as one, is too large, or has more digits
// than its attribute keeps.
const ReasonInvalidNumber = "INVALID_NUMBER"

// ParseDecimal reads a number such as -12.50 as an int64 of the smallest unit of a scale, exactly: a number that is too
// large, or has digits other than 0 beyond the scale, is an Invalid fault.
func ParseDecimal(text string, scale int) (int64, error) {
	n, exact, err := floorDecimal(text, scale)
	if err == nil && !exact {
		err = fault.New(fault.Invalid, ReasonInvalidNumber, "the number has more digits after the point than are kept, "+strconv.Itoa(scale)).
			With("scale", scale)
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// FormatDecimal writes n smallest units of a scale, with all digits of the scale.
func FormatDecimal(n int64, scale int) string {
	text := strconv.FormatInt(n, 10)
	if scale <= 0 {
		return text
	}
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	if len(text) <= scale {
		text = strings.Repeat("0", scale-len(text)+1) + text
	}
	return sign + text[:len(text)-scale] + "." + text[len(text)-scale:]
}

// floorDecimal reads a number as the largest int64 of the scale's smallest unit that is not above it, and whether it is equal.
func floorDecimal(text string, scale int) (n int64, exact bool, err error) {
	digits, negative := text, false
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		negative = digits[0] == '-'
		digits = digits[1:]
	}
	whole, frac, point := strings.Cut(digits, ".")
	if whole == "" || point && frac == "" || !allDigits(whole) || !allDigits(frac) {
		return 0, false, fault.New(fault.Invalid, ReasonInvalidNumber, "a number is written with digits and a point, such as 1234.50")
	}
	exact = true
	if len(frac) > scale {
		rest := frac[scale:]
		frac = frac[:scale]
		exact = strings.Trim(rest, "0") == ""
	}
	for _, part := range [2]string{whole, frac} {
		for i := range len(part) {
			// Counting below zero reaches the smallest int64, which has no positive twin.
			d := int64(part[i] - '0')
			if n < (minInt64+d)/10 {
				return 0, false, tooLarge()
			}
			n = n*10 - d
		}
	}
	for range scale - len(frac) {
		if n < minInt64/10 {
			return 0, false, tooLarge()
		}
		n *= 10
	}
	if negative && !exact {
		if n == minInt64 {
			return 0, false, tooLarge()
		}
		n--
	}
	if !negative {
		if n == minInt64 {
			return 0, false, tooLarge()
		}
		n = -n
	}
	return n, exact, nil
}

const (
	minInt64 = -1 << 63
	maxInt64 = 1<<63 - 1
)

func tooLarge() error {
	return fault.New(fault.Invalid, ReasonInvalidNumber, "the number is too large for its attribute")
}

func allDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// CompareNumber returns the predicate that compares a Decimal or Money attribute with a number written in digits, exactly
// whatever the number of its digits: at scale 2, x > 1.005 is x >= 1.01, and x == 1.005 is false of everyone who has a
// value. Currency is that of a Money's literal, "" the store's. A number that is none, or too large, is an Invalid fault.
func (s *Schema) CompareNumber(a *Attribute, op Op, number, currency string) (Pred, error) {
	n, exact, err := floorDecimal(number, a.Scale)
	if err != nil {
		return nil, err
	}
	v := Value{Num: n}
	if a.Kind == KindMoney {
		if currency == "" {
			currency = s.Currency
		}
		if !validCurrency(currency) {
			return nil, fault.New(fault.Invalid, ReasonUnknownValue, "a currency is an ISO 4217 code of three capitals such as EUR")
		}
		v.Currency = currency
	}
	if exact {
		return Compare{Attr: a.Name, Op: op, Value: v}, nil
	}
	// n < number < n+1
	switch op {
	case OpLT, OpLE:
		return Compare{Attr: a.Name, Op: OpLE, Value: v}, nil
	case OpGT, OpGE:
		return Compare{Attr: a.Name, Op: OpGT, Value: v}, nil
	}
	// Nobody's value is equal: false, or unknown where there is no value. So is "above n and at most n".
	never := And{Compare{Attr: a.Name, Op: OpGT, Value: v}, Compare{Attr: a.Name, Op: OpLE, Value: v}}
	if op == OpNE {
		return Not{X: never}, nil
	}
	return never, nil
}
