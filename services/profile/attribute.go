package profile

import (
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Type is the type of a custom attribute's values. The numbers are stored and never change.
type Type uint8

// The types.
const (
	TypeString     Type = 1
	TypeDecimal    Type = 2
	TypeBool       Type = 3
	TypeDate       Type = 4
	TypeStringList Type = 5
)

var typeNames = [...]string{"unspecified", "string", "decimal", "bool", "date", "string_list"}

// String returns the type's name as error messages and metadata write it.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return typeNames[0]
}

// Attribute is the declaration of a custom attribute.
type Attribute struct {
	// ID is how rules name it behind "custom.".
	ID          string
	Type        Type
	Description string
	// Allowed is the closed list of a text's or list's values; empty: any.
	Allowed []string
	// Scale is the number of digits after the point of a decimal, 0 to 9.
	Scale     int
	Sensitive bool
	// Declared is the revision at which the attribute was declared, Revision that of its last change.
	Declared, Revision     int64
	CreateTime, UpdateTime time.Time
}

// Schema is the declared attributes by their id. A Schema is never changed once it was handed out.
type Schema map[string]*Attribute

var attributeID = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// reservedIDs are words of the rule language: a rule could not write them behind "custom.".
var reservedIDs = []string{"in", "true", "false", "null"}

// Clone returns a copy that shares nothing that a caller could change.
func (a *Attribute) Clone() *Attribute {
	c := *a
	c.Allowed = slices.Clone(a.Allowed)
	return &c
}

// Canonicalize checks a declaration and brings it into its one form: texts in NFC, allowed values in the order given. The fault
// is Invalid, with field paths relative to the attribute.
func (a *Attribute) Canonicalize() error {
	var v fault.Violations
	if !attributeID.MatchString(a.ID) {
		v.Add("name", ReasonValidationFailed, "an attribute's id is 1 to 63 of a-z, 0-9 and _, beginning with a letter")
	} else if slices.Contains(reservedIDs, a.ID) {
		v.Add("name", ReasonValidationFailed, "rules could not write this id; choose another one")
	}
	if a.Type < TypeString || a.Type > TypeStringList {
		v.Add("type", ReasonValidationFailed, "a type is needed")
	}
	if a.Scale < 0 || a.Scale > audience.MaxScale {
		v.Add("scale", ReasonValidationFailed, "a scale is 0 to "+strconv.Itoa(audience.MaxScale))
	} else if a.Scale != 0 && a.Type != TypeDecimal {
		v.Add("scale", ReasonValidationFailed, "only decimals have a scale; leave it out")
	}
	if len(a.Allowed) > 0 && a.Type != TypeString && a.Type != TypeStringList {
		v.Add("allowed_values", ReasonValidationFailed, "only texts and lists have allowed values; leave them out")
	}
	a.Description = audience.NormalizeText(a.Description)
	seen := make(map[string]bool, len(a.Allowed))
	for i, text := range a.Allowed {
		text = audience.NormalizeText(text)
		a.Allowed[i] = text
		if text == "" || seen[text] {
			v.Add(fault.Index("allowed_values", i), ReasonValidationFailed, "an allowed value is a text that is not empty and not there already")
		}
		seen[text] = true
	}
	return AsInvalid(v.Err())
}

// CheckChange refuses what a declaration can never become: another type or scale, fewer allowed values, a closed list where
// there was none, and no longer sensitive. Values may be added; a list that was closed may not be opened, since
// rules were checked against it.
func (a *Attribute) CheckChange(next *Attribute, name string) error {
	immutable := func(field, message string) error {
		return fault.InvalidField(ReasonAttributeImmutable, "attribute."+field, message).With("name", name).With("field", field)
	}
	switch {
	case next.Type != a.Type:
		return immutable("type", "an attribute's type cannot change; declare another attribute")
	case next.Scale != a.Scale:
		return immutable("scale", "an attribute's scale cannot change; declare another attribute")
	case a.Sensitive && !next.Sensitive:
		return immutable("sensitive", "an attribute that was declared sensitive remains so")
	case len(a.Allowed) == 0 && len(next.Allowed) > 0:
		return immutable("allowed_values", "an attribute that takes any value cannot be closed; declare another attribute")
	}
	for _, text := range a.Allowed {
		if !slices.Contains(next.Allowed, text) {
			return immutable("allowed_values", "allowed values can be added, not removed; give all that are there and the new ones")
		}
	}
	return nil
}
