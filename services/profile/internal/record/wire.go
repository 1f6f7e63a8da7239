package record

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
)

// AppendWire appends the fields of narrowcast.profile.v1.Profile that a record of either part holds, in protobuf's encoding: what
// decoding the record and marshalling the message would give, without making either. It is for those who pass many profiles on
// unread. whole is false where the record has fields that are not passed on this way (those of traits, or of a newer program),
// and must be decoded for them. On an error, which has no details of the record, nothing is appended.
func AppendWire(to, rec []byte) (b []byte, whole bool, err error) {
	if len(rec) == 0 || rec[0] != version {
		return to, false, errMalformed
	}
	t := transcoder{b: to, whole: true}
	r := reader{text: string(rec[1:])}
	for r.text != "" && !r.bad {
		number := r.uint()
		v := reader{text: r.string()}
		if r.bad {
			break
		}
		t.field(number, &v)
		r.bad = r.bad || v.bad
	}
	t.endEmployer()
	if r.bad {
		return to, false, errMalformed
	}
	return t.b, t.whole, nil
}

// Numbers of the fields of narrowcast.profile.v1.Profile and of the messages in it. The rpc package, which knows the generated code,
// tests that they are right.
const (
	wGivenName = iota + 10
	wFamilyName
	wBirthDate
	wGender
	wRegion
	wPostalCode
	wJobLevel
	wIncome
	wEducation
	wMaritalStatus
	wOccupation
	wEmployer
	wHousehold
	wRoles
	wLifecycle
	wInterests
	wValues
	wNeeds
	wPreferredChannels
	wPreferredBrands
	wConsents
	wIdentifiers
	wCustom
)

// texts are the fields that are texts on both sides.
var texts = map[uint64]protowire.Number{
	fGivenName: wGivenName, fFamilyName: wFamilyName, fRegion: wRegion, fPostalCode: wPostalCode, fOccupation: wOccupation, fHousehold: wHousehold,
}

type vocabulary struct {
	number protowire.Number
	words  []string
}

// enums are the fields that are a word of a vocabulary here and a number there: 1 for the first word, as in package wire.
var enums = map[uint64]vocabulary{
	fGender: {wGender, audience.Genders}, fJobLevel: {wJobLevel, audience.JobLevels}, fEducation: {wEducation, audience.Educations},
	fMaritalStatus: {wMaritalStatus, audience.MaritalStatuses}, fLifecycle: {wLifecycle, audience.Lifecycles},
}

// lists are the fields that are messages with one repeated field there: of enums where there are words, else of texts.
var lists = map[uint64]vocabulary{
	fRoles: {wRoles, audience.Roles}, fInterests: {number: wInterests}, fValues: {number: wValues}, fNeeds: {number: wNeeds},
	fPreferredChannels: {wPreferredChannels, audience.Channels}, fPreferredBrands: {number: wPreferredBrands},
}

// transcoder writes messages.
type transcoder struct {
	b     []byte
	whole bool
	// employer is where the employer's message begins, of which the record has up to three fields in a row; 0: it has not begun.
	employer int
}

func (t *transcoder) field(number uint64, r *reader) {
	if number > fEmployerSize {
		t.endEmployer()
	}
	if to, ok := texts[number]; ok {
		t.text(to, r.text)
		return
	}
	if v, ok := enums[number]; ok {
		t.enum(v.number, v.words, r.text)
		return
	}
	if v, ok := lists[number]; ok {
		t.list(v, r)
		return
	}
	switch number {
	case fBirthDate:
		t.interval(r.int(), r.int())
	case fIncome:
		at := t.begin(wIncome)
		t.text(1, r.string())
		t.text(2, audience.FormatDecimal(r.int(), 2))
		t.end(at)
	case fEmployerName, fEmployerIndustry, fEmployerSize:
		if t.employer == 0 {
			t.employer = t.begin(wEmployer)
		}
		if number == fEmployerSize {
			t.enum(3, audience.EmployerSizes, r.text)
		} else {
			t.text(protowire.Number(number-fEmployerName+1), r.text)
		}
	case fConsent:
		t.consent(r.consent())
	case fIdentifier:
		at := t.begin(wIdentifiers)
		t.enum(1, profile.IdentifierKinds, r.string())
		t.optional(2, r.string())
		t.optional(3, r.string())
		t.end(at)
	case fCustom:
		t.custom(r)
	default:
		t.whole = false
	}
}

// begin begins a message and returns where its content will be; end writes its length, for which a byte is kept: few are longer than
// that can say.
func (t *transcoder) begin(number protowire.Number) int {
	t.b = append(protowire.AppendTag(t.b, number, protowire.BytesType), 0)
	return len(t.b)
}

func (t *transcoder) end(at int) {
	n := len(t.b) - at
	if n < 0x80 {
		t.b[at-1] = byte(n)
		return
	}
	var length [10]byte
	t.b = slices.Replace(t.b, at-1, at, protowire.AppendVarint(length[:0], uint64(n))...)
}

func (t *transcoder) endEmployer() {
	if t.employer > 0 {
		t.end(t.employer)
		t.employer = 0
	}
}

func (t *transcoder) text(number protowire.Number, text string) {
	t.b = protowire.AppendString(protowire.AppendTag(t.b, number, protowire.BytesType), text)
}

// optional writes a text that is not written where it is empty.
func (t *transcoder) optional(number protowire.Number, text string) {
	if text != "" {
		t.text(number, text)
	}
}

func (t *transcoder) varint(number protowire.Number, n uint64) {
	if n != 0 {
		t.b = protowire.AppendVarint(protowire.AppendTag(t.b, number, protowire.VarintType), n)
	}
}

func (t *transcoder) enum(number protowire.Number, words []string, word string) {
	t.varint(number, uint64(slices.Index(words, word)+1))
}

func (t *transcoder) list(v vocabulary, r *reader) {
	at := t.begin(v.number)
	if v.words == nil {
		for r.text != "" && !r.bad {
			t.text(1, r.string())
		}
		t.end(at)
		return
	}
	if r.text != "" {
		packed := t.begin(1)
		for r.text != "" && !r.bad {
			if i := slices.Index(v.words, r.string()); i >= 0 {
				t.b = protowire.AppendVarint(t.b, uint64(i+1))
			}
		}
		t.end(packed)
	}
	t.end(at)
}

// interval writes a day, a month or a year as google.type.Date; what is neither is unknown.
func (t *transcoder) interval(first, last int64) {
	year, month, day := audience.DateOf(first)
	switch {
	case first == last:
	case day != 1:
		return
	case month == 1 && last == audience.DayOf(year, 12, 31):
		month, day = 0, 0
	case last == audience.DayOf(year, month, audience.DaysIn(year, month)):
		day = 0
	default:
		return
	}
	t.date(wBirthDate, year, month, day)
}

func (t *transcoder) date(number protowire.Number, year, month, day int64) {
	at := t.begin(number)
	t.varint(1, uint64(year))
	t.varint(2, uint64(month))
	t.varint(3, uint64(day))
	t.end(at)
}

func (t *transcoder) day(number protowire.Number, day int64) {
	year, month, dayOfMonth := audience.DateOf(day)
	t.date(number, year, month, dayOfMonth)
}

func (t *transcoder) consent(c profile.Consent) {
	at := t.begin(wConsents)
	t.enum(1, audience.Purposes, c.Purpose)
	t.enum(2, audience.Channels, c.Channel)
	t.enum(3, profile.ConsentStatuses, c.Status)
	if c.Expires != nil {
		t.day(4, *c.Expires)
	}
	if !c.Decided.IsZero() {
		t.timestamp(5, c.Decided.UnixMicro())
	}
	t.optional(6, c.Source)
	t.end(at)
}

// timestamp writes microseconds since 1970 as google.protobuf.Timestamp, whose nanoseconds are never negative.
func (t *transcoder) timestamp(number protowire.Number, micros int64) {
	seconds, rest := micros/1e6, micros%1e6
	if rest < 0 {
		seconds, rest = seconds-1, rest+1e6
	}
	at := t.begin(number)
	t.varint(1, uint64(seconds))
	t.varint(2, uint64(rest*1000))
	t.end(at)
}

func (t *transcoder) custom(r *reader) {
	at := t.begin(wCustom)
	t.text(1, r.string())
	value := t.begin(2)
	switch typ := profile.Type(r.byte()); typ {
	case profile.TypeString, profile.TypeDecimal:
		t.text(protowire.Number(typ), r.string())
	case profile.TypeBool:
		// The arm of a oneof is written although it is false.
		t.b = protowire.AppendVarint(protowire.AppendTag(t.b, 3, protowire.VarintType), uint64(r.int()&1))
	case profile.TypeDate:
		t.day(4, r.int())
	case profile.TypeStringList:
		list := t.begin(5)
		for r.text != "" && !r.bad {
			t.text(1, r.string())
		}
		t.end(list)
	default:
		r.bad = true
	}
	t.end(value)
	t.end(at)
}

// AppendWireHead appends the fields of narrowcast.profile.v1.Profile that are not in a record: name, uid, etag and times, of which the
// latter are microseconds since 1970.
func AppendWireHead(to []byte, uid audience.UID, revision, created, updated int64) []byte {
	t := transcoder{b: to}
	name := profile.Name(uid)
	t.text(1, name)
	t.text(2, strings.TrimPrefix(name, "profiles/"))
	t.text(3, profile.Etag(revision))
	t.timestamp(4, created)
	t.timestamp(5, updated)
	return t.b
}
