package fault

import (
	"strconv"
	"strings"
)

// ReasonInvalid is the reason of an Invalid fault that collects several violations with different reasons of their own.
const ReasonInvalid = "INVALID_FIELDS"

// Violations collects every wrong field of a request, so that a caller sees them all at once. The zero value is ready; use one
// per request:
//
//	var v fault.Violations
//	if r.AgeMin > r.AgeMax {
//		v.Add("spec.age", "RANGE_EMPTY", "the lower bound is above the upper one; swap them")
//	}
//	return v.Err()
type Violations struct {
	list   []Violation
	prefix string
	root   *Violations
}

// Add records one wrong field. Field is relative to the prefix of a collector made by [Violations.In].
func (v *Violations) Add(field, reason, description string) {
	r := v.target()
	r.list = append(r.list, Violation{Field: Join(v.prefix, field), Reason: reason, Description: description})
}

// AddErr records err under field: an Invalid fault's violations are nested below field, and it returns true. Any other error
// is not about the request's fields: it is not recorded, and false is returned for the caller to return err as it is. A nil err
// is true.
func (v *Violations) AddErr(field string, err error) bool {
	if err == nil {
		return true
	}
	e := As(err)
	if e == nil || e.Kind != Invalid {
		return false
	}
	if len(e.Violations) == 0 {
		v.Add(field, e.Reason, e.Message)
		return true
	}
	for _, one := range e.Violations {
		reason := one.Reason
		if reason == "" {
			reason = e.Reason
		}
		v.Add(Join(field, one.Field), reason, one.Description)
	}
	return true
}

// In returns a collector that writes into v with all fields below prefix: v.In("spec").In("regions[0]").
func (v *Violations) In(prefix string) *Violations {
	return &Violations{prefix: Join(v.prefix, prefix), root: v.target()}
}

// Len returns how many violations were recorded, in all nested collectors together.
func (v *Violations) Len() int { return len(v.target().list) }

// Err returns nil if nothing was recorded, else an Invalid fault with all violations in the order of their recording. Its
// reason is that of the violations if they agree, else [ReasonInvalid].
func (v *Violations) Err() error {
	list := v.target().list
	if len(list) == 0 {
		return nil // an untyped nil: a nil *Error in an error variable would not compare equal to nil
	}
	if len(list) == 1 {
		return &Error{Kind: Invalid, Reason: orInvalid(list[0].Reason), Message: list[0].Description, Violations: append([]Violation(nil), list...)}
	}
	reason := list[0].Reason
	for _, one := range list {
		if one.Reason != reason {
			reason = ReasonInvalid
		}
	}
	n := strconv.Itoa(len(list))
	return &Error{
		Kind: Invalid, Reason: orInvalid(reason), Message: n + " fields are wrong; correct each of them and send the request again",
		Metadata: map[string]string{"count": n}, Violations: append([]Violation(nil), list...),
	}
}

func (v *Violations) target() *Violations {
	if v.root != nil {
		return v.root
	}
	return v
}

func orInvalid(reason string) string {
	if reason == "" {
		return ReasonInvalid
	}
	return reason
}

// Join joins two parts of a field path: ("a", "b") is "a.b", ("a", "[2]") is "a[2]", and an empty part vanishes.
func Join(prefix, field string) string {
	switch {
	case prefix == "":
		return field
	case field == "":
		return prefix
	case strings.HasPrefix(field, "["):
		return prefix + field
	}
	return prefix + "." + field
}

// Index returns "field[i]", the path of one element of a repeated field.
func Index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
