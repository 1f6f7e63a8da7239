package record

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/narrowcast/narrowcast/services/profile"
)

// version is the first byte of every record.
const version = 1

// Numbers of the fields.
const (
	fGivenName = iota + 1
	fFamilyName
	fBirthDate
	fGender
	fRegion
	fPostalCode
	fJobLevel
	fIncome
	fEducation
	fMaritalStatus
	fOccupation
	fEmployerName
	fEmployerIndustry
	fEmployerSize
	fHousehold
	fRoles
	fLifecycle
	fInterests
	fValues
	fNeeds
	fPreferredChannels
	fPreferredBrands
	fConsent    // one field for each
	fIdentifier // one field for each
	fCustom     // one field for each, by id
	// Of the traits; fTraits is there where there are any.
	fTraits
	fActivity // one field for each kind with an event: the built-in ones, then the own ones by name
	fFirstPurchase
	fAverageBasket
	fFavouriteChannel
	fFavouriteBrand
	fFavouriteCategory
	fLoyalty
	fSatisfaction
	fDeclaredLifecycle
)

var errMalformed = errors.New("the stored record is malformed")

// Contact appends the record of who a canonical profile is, by name and identifiers, to b; nothing where it has neither.
func Contact(b []byte, p *profile.Profile) []byte {
	if p.GivenName == nil && p.FamilyName == nil && len(p.Identifiers) == 0 {
		return b
	}
	w := writer{b: append(b, version)}
	w.optional(fGivenName, p.GivenName)
	w.optional(fFamilyName, p.FamilyName)
	for _, id := range p.Identifiers {
		w.field(fIdentifier, func() { w.string(id.Kind); w.string(id.Source); w.string(id.Value) })
	}
	return w.b
}

// Body appends the record of all else that a canonical profile says to b.
func Body(b []byte, p *profile.Profile) []byte {
	w := writer{b: append(b, version)}
	if d := p.BirthDate; d != nil {
		w.field(fBirthDate, func() { w.int(d.First); w.int(d.Last) })
	}
	w.text(fGender, p.Gender)
	w.text(fRegion, p.Region)
	w.text(fPostalCode, p.PostalCode)
	w.text(fJobLevel, p.JobLevel)
	if m := p.Income; m != nil {
		w.field(fIncome, func() { w.string(m.Currency); w.int(m.Amount) })
	}
	w.text(fEducation, p.Education)
	w.text(fMaritalStatus, p.MaritalStatus)
	w.text(fOccupation, p.Occupation)
	w.text(fEmployerName, p.Employer.Name)
	w.text(fEmployerIndustry, p.Employer.Industry)
	w.text(fEmployerSize, p.Employer.Size)
	w.text(fHousehold, p.Household)
	w.list(fRoles, p.Roles)
	w.text(fLifecycle, p.Lifecycle)
	w.list(fInterests, p.Interests)
	w.list(fValues, p.Values)
	w.list(fNeeds, p.Needs)
	w.list(fPreferredChannels, p.PreferredChannels)
	w.list(fPreferredBrands, p.PreferredBrands)
	for i := range p.Consents {
		w.field(fConsent, func() { w.consent(&p.Consents[i]) })
	}
	if len(p.Custom) > 0 {
		ids := make([]string, 0, len(p.Custom))
		for id := range p.Custom {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			w.field(fCustom, func() { w.custom(id, p.Custom[id]) })
		}
	}
	if p.Traits != nil {
		w.traits(p.Traits)
	}
	return w.b
}

type writer struct{ b []byte }

// field writes a field whose value content appends. The value is written first and its length put before it: values are
// short, so moving them is cheaper than measuring them.
func (w *writer) field(number uint64, content func()) {
	w.b = binary.AppendUvarint(w.b, number)
	at := len(w.b)
	content()
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(w.b)-at))
	w.b = slices.Insert(w.b, at, length[:n]...)
}

func (w *writer) raw(number uint64, text string) {
	w.b = binary.AppendUvarint(w.b, number)
	w.string(text)
}

func (w *writer) string(text string) {
	w.b = binary.AppendUvarint(w.b, uint64(len(text)))
	w.b = append(w.b, text...)
}

func (w *writer) int(n int64) { w.b = binary.AppendVarint(w.b, n) }

func (w *writer) text(number uint64, text string) {
	if text != "" {
		w.raw(number, text)
	}
}

func (w *writer) optional(number uint64, text *string) {
	if text != nil {
		w.raw(number, *text)
	}
}

func (w *writer) list(number uint64, list []string) {
	if list != nil {
		w.field(number, func() {
			for _, text := range list {
				w.string(text)
			}
		})
	}
}

func (w *writer) consent(c *profile.Consent) {
	w.string(c.Purpose)
	w.string(c.Channel)
	w.string(c.Status)
	w.string(c.Source)
	// Which of the two that may be absent are there.
	flags := byte(0)
	if c.Expires != nil {
		flags |= 1
	}
	if !c.Decided.IsZero() {
		flags |= 2
	}
	w.b = append(w.b, flags)
	if c.Expires != nil {
		w.int(*c.Expires)
	}
	if !c.Decided.IsZero() {
		w.int(c.Decided.UnixMicro())
	}
}

func (w *writer) custom(id string, v profile.Value) {
	w.string(id)
	w.b = append(w.b, byte(v.Type))
	switch v.Type {
	case profile.TypeString, profile.TypeDecimal:
		w.string(v.Text)
	case profile.TypeBool, profile.TypeDate:
		w.int(v.Num)
	case profile.TypeStringList:
		for _, text := range v.List {
			w.string(text)
		}
	}
}

// Decode reads a record of either part into the attributes of p, which must have none of that part. The error of bytes that are none has
// no details of them.
func Decode(b []byte, p *profile.Profile) error {
	if len(b) == 0 || b[0] != version {
		return errMalformed
	}
	return fields(b[1:], func(number uint64, r *reader) { r.field(number, p) })
}

// fields reads fields to the end and has each one's value read by its number.
func fields(b []byte, read func(number uint64, r *reader)) error {
	r := reader{text: string(b)} // one copy, of which all texts are parts
	for r.text != "" && !r.bad {
		number := r.uint()
		v := reader{text: r.string()}
		if r.bad {
			break
		}
		read(number, &v)
		r.bad = r.bad || v.bad
	}
	if r.bad {
		return errMalformed
	}
	return nil
}

type reader struct {
	text string
	bad  bool
}

func (r *reader) field(number uint64, p *profile.Profile) {
	switch number {
	case fGivenName:
		p.GivenName = &r.text
	case fFamilyName:
		p.FamilyName = &r.text
	case fBirthDate:
		p.BirthDate = &profile.Interval{First: r.int(), Last: r.int()}
	case fGender:
		p.Gender = r.text
	case fRegion:
		p.Region = r.text
	case fPostalCode:
		p.PostalCode = r.text
	case fJobLevel:
		p.JobLevel = r.text
	case fIncome:
		p.Income = &profile.Money{Currency: r.string(), Amount: r.int()}
	case fEducation:
		p.Education = r.text
	case fMaritalStatus:
		p.MaritalStatus = r.text
	case fOccupation:
		p.Occupation = r.text
	case fEmployerName:
		p.Employer.Name = r.text
	case fEmployerIndustry:
		p.Employer.Industry = r.text
	case fEmployerSize:
		p.Employer.Size = r.text
	case fHousehold:
		p.Household = r.text
	case fRoles:
		p.Roles = r.list()
	case fLifecycle:
		p.Lifecycle = r.text
	case fInterests:
		p.Interests = r.list()
	case fValues:
		p.Values = r.list()
	case fNeeds:
		p.Needs = r.list()
	case fPreferredChannels:
		p.PreferredChannels = r.list()
	case fPreferredBrands:
		p.PreferredBrands = r.list()
	case fConsent:
		p.Consents = append(p.Consents, r.consent())
	case fIdentifier:
		p.Identifiers = append(p.Identifiers, profile.Identifier{Kind: r.string(), Source: r.string(), Value: r.string()})
	case fCustom:
		r.custom(p)
	case fTraits, fActivity, fFirstPurchase, fAverageBasket, fFavouriteChannel, fFavouriteBrand, fFavouriteCategory, fLoyalty, fSatisfaction,
		fDeclaredLifecycle:
		if p.Traits == nil {
			p.Traits = new(profile.Traits)
		}
		r.traits(number, p.Traits)
	}
}

func (r *reader) uint() uint64 {
	var n uint64
	for shift := 0; shift < 64 && len(r.text) > 0; shift += 7 {
		c := r.text[0]
		r.text = r.text[1:]
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	r.bad = true
	return 0
}

func (r *reader) int() int64 {
	n := r.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *reader) byte() byte {
	if r.text == "" {
		r.bad = true
		return 0
	}
	c := r.text[0]
	r.text = r.text[1:]
	return c
}

func (r *reader) string() string {
	n := r.uint()
	if r.bad || n > uint64(len(r.text)) {
		r.bad = true
		return ""
	}
	text := r.text[:n]
	r.text = r.text[n:]
	return text
}

func (r *reader) list() []string {
	list := []string{}
	for r.text != "" && !r.bad {
		list = append(list, r.string())
	}
	return list
}

func (r *reader) consent() profile.Consent {
	c := profile.Consent{Purpose: r.string(), Channel: r.string(), Status: r.string(), Source: r.string()}
	flags := r.byte()
	if flags&1 != 0 {
		day := r.int()
		c.Expires = &day
	}
	if flags&2 != 0 {
		c.Decided = time.UnixMicro(r.int()).UTC()
	}
	return c
}

func (r *reader) custom(p *profile.Profile) {
	id := r.string()
	v := profile.Value{Type: profile.Type(r.byte())}
	switch v.Type {
	case profile.TypeString, profile.TypeDecimal:
		v.Text = r.string()
	case profile.TypeBool, profile.TypeDate:
		v.Num = r.int()
	case profile.TypeStringList:
		v.List = r.list()
	default:
		r.bad = true
	}
	if p.Custom == nil {
		p.Custom = make(map[string]profile.Value)
	}
	p.Custom[id] = v
}
