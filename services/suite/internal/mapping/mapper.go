package mapping

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/narrowcast/narrowcast/pkg/audience"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
)

// Mapper maps rows of one file. It is for one goroutine.
type Mapper struct {
	m        *Mapping
	fields   []field
	width    int
	scratch  []string
	problems []Problem
	titled   titleOutcome // of this row
	titles   Titles
}

// Bind ties a mapping to a file: header holds the names of its columns (nil: it has none), width their number, known the
// attributes that are declared in the store. A column that is not there and an attribute that nobody declares are one
// Invalid fault (MAPPING_INVALID) with a violation for each.
func (m *Mapping) Bind(header []string, width int, known []*profilev1.Attribute) (*Mapper, error) {
	p := &problems{}
	mapper := &Mapper{m: m, width: width}
	declared := map[string]*profilev1.Attribute{}
	for _, a := range known {
		if id, ok := wire.AttributeID(a.GetName()); ok {
			declared[id] = a
		}
	}
	// What the mapping declares is what it means; if the store has it otherwise, declaring it fails before any row is sent.
	for id, a := range m.attribute {
		declared[id] = a
	}
	var missing []string
	for _, f := range m.fields {
		if id, custom := strings.CutPrefix(f.path, audience.AttrCustomPrefix); custom {
			a := declared[id]
			if a == nil {
				missing = append(missing, id)
				continue
			}
			f.target = customTarget(a, id)
			if problem := f.target.check(f.spec); problem != "" {
				p.add(f.spec.at, "%s", problem)
			}
		}
		p.bind(f.spec, header, width)
		mapper.fields = append(mapper.fields, f)
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, m.undeclared(missing)
	}
	for _, x := range m.external {
		p.bind(x.spec, header, width)
	}
	for _, x := range m.contacts {
		p.bind(x.spec, header, width)
	}
	for _, c := range m.consents {
		for _, s := range []*spec{c.purpose, c.channel, c.status, c.expires, c.decides, c.source} {
			if s != nil {
				p.bind(s, header, width)
			}
		}
	}
	if err := p.list.Err(); err != nil {
		return nil, err
	}
	return mapper, nil
}

func (p *problems) bind(s *spec, header []string, width int) {
	for i := range s.columns {
		p.find(&s.columns[i], header, width)
	}
	for _, piece := range s.pieces {
		if piece.column != nil {
			p.find(piece.column, header, width)
		}
	}
	if s.currencyIn != nil {
		p.find(s.currencyIn, header, width)
	}
}

// find sets the column's place in the file.
func (p *problems) find(c *column, header []string, width int) {
	c.index = slices.Index(header, c.name)
	if c.index >= 0 {
		if slices.Contains(header[c.index+1:], c.name) {
			p.add(c.at, "the file has more than one column %q; name it by its number", c.name)
		}
		return
	}
	switch {
	case c.num > 0 && c.num <= width:
		c.index = c.num - 1
	case c.num > 0:
		p.add(c.at, "the file has no column %d; it has %d columns", c.num, width)
	case header == nil:
		p.add(c.at, "the file has no header (header: false): columns are named by number, from 1 to %d", width)
	default:
		p.add(c.at, "the file has no column %q; it has: %s", c.name, strings.Join(header, ", "))
	}
}

// Map returns the profile of a row. number is the row's number among the data rows, from 1. With problems there is no
// profile; they are valid until the next call.
func (x *Mapper) Map(fields []string, number int64) (*profilev1.Profile, []Problem) {
	x.problems, x.titled = x.problems[:0], noTitle
	if len(fields) != x.width {
		if !x.m.File.Ragged || len(fields) > x.width {
			x.fail("", &Problem{Reason: ReasonFieldCount, Message: fmt.Sprintf("the row has %d fields, the file %d columns", len(fields), x.width)})
			return nil, x.problems
		}
		fields = append(slices.Clone(fields), make([]string, x.width-len(fields))...)
	}
	profile := &profilev1.Profile{}
	for i := range x.fields {
		x.set(profile, &x.fields[i], fields, number)
	}
	for _, id := range x.m.external {
		text, ok := x.one(id.spec, "external_id", fields, number)
		if !ok {
			if len(x.m.external) == 1 {
				x.fail("external_id", &Problem{Reason: ReasonMissingID, Message: "the external id is missing; a row without one could not be recognised again"})
			}
			continue
		}
		profile.Identifiers = append(profile.Identifiers, &profilev1.Identifier{
			Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Source: id.source, Value: text,
		})
	}
	for _, c := range x.m.contacts {
		if text, ok := x.one(c.spec, c.path, fields, number); ok {
			profile.Identifiers = append(profile.Identifiers, &profilev1.Identifier{Kind: c.kind, Source: c.source, Value: text})
		}
	}
	for i := range x.m.consents {
		x.consent(profile, &x.m.consents[i], fields, number)
	}
	if len(x.problems) > 0 {
		return nil, x.problems
	}
	x.titles.count(x.titled)
	return profile, nil
}

func (x *Mapper) fail(path string, p *Problem) {
	q := *p
	if q.Field == "" {
		q.Field = path
	}
	x.problems = append(x.problems, q)
}

// set puts one field's value into the profile.
func (x *Mapper) set(profile *profilev1.Profile, f *field, fields []string, number int64) {
	t := &f.target
	values, present, problem := x.values(f.spec, t.kind == kindList, fields, number)
	if problem != nil {
		x.fail(f.path, problem)
		return
	}
	if !present || t.kind != kindList && len(values) == 0 {
		return
	}
	switch t.kind {
	case kindList:
		problem = t.list(profile, values)
	case kindText:
		if f.titles != nil {
			x.title(profile, f, values[0])
			break
		}
		problem = t.text(profile, values[0])
	case kindDate, kindBirth:
		var d *date.Date
		if d, problem = f.spec.day(values[0], t.kind); problem == nil {
			t.date(profile, d)
		}
	case kindBool:
		var b bool
		if b, problem = truth(values[0]); problem == nil {
			t.boolean(profile, b)
		}
	case kindDecimal:
		var text string
		if text, problem = x.number(f.spec, values[0], t.scale); problem == nil {
			problem = t.text(profile, text)
		}
	case kindMoney:
		problem = x.money(profile, f.spec, values[0], t.scale, fields)
	}
	if problem != nil {
		x.fail(f.path, problem)
	}
}

// one returns the single value of a spec; false if it is missing or wrong.
func (x *Mapper) one(s *spec, path string, fields []string, number int64) (string, bool) {
	values, present, problem := x.values(s, false, fields, number)
	if problem != nil {
		x.fail(path, problem)
		return "", false
	}
	if !present || len(values) == 0 || values[0] == "" {
		return "", false
	}
	return values[0], true
}

// values returns the texts of a spec, mapped; present is false if the value is missing. The slice is valid until the next
// call.
func (x *Mapper) values(s *spec, list bool, fields []string, number int64) (values []string, present bool, problem *Problem) {
	out := x.scratch[:0]
	defer func() { x.scratch = out }()
	take := func(text string) *Problem {
		if s.split == "" {
			return s.translate(&out, text)
		}
		for piece := range strings.SplitSeq(text, s.split) {
			if piece = strings.TrimSpace(piece); piece == "" || slices.Contains(s.missing, piece) {
				continue
			}
			if problem := s.translate(&out, piece); problem != nil {
				return problem
			}
		}
		return nil
	}
	switch {
	case s.values != nil:
		return s.values, true, nil
	case s.row:
		present, problem = true, take(strconv.FormatInt(number, 10))
	case s.pieces != nil:
		text, ok, wrong := x.template(s, fields)
		if present, problem = ok, wrong; ok && wrong == nil {
			problem = take(text)
		}
	case s.combine == "count", s.combine == "sum":
		text, ok, wrong := x.total(s, fields)
		if present, problem = ok, wrong; ok && wrong == nil {
			problem = take(text)
		}
	default:
		for i := range s.columns {
			c := &s.columns[i]
			text, ok, wrong := x.text(s, fields[c.index])
			if wrong != nil {
				return nil, false, wrong
			}
			if !ok {
				continue
			}
			present = true
			if c.when != nil {
				if !slices.Contains(c.when, text) {
					continue
				}
				text = c.label
			}
			if problem = take(text); problem != nil {
				return nil, false, problem
			}
			if !list && len(out) > 0 || s.combine == "first" {
				break
			}
		}
	}
	if problem != nil {
		return nil, false, problem
	}
	if !list {
		present = present && len(out) > 0
	}
	if !present && s.ifMissing != nil {
		return s.ifMissing, true, nil
	}
	return out, present, nil
}

// text makes one column's text ready; false if it stands for a missing value.
func (x *Mapper) text(s *spec, text string) (string, bool, *Problem) {
	if x.m.File.TrimSpace && !s.keepSpace {
		text = strings.TrimSpace(text)
	}
	switch s.upper {
	case 1:
		text = strings.ToUpper(text)
	case -1:
		text = strings.ToLower(text)
	}
	if s.isMissing(text) {
		return "", false, nil
	}
	if s.strip != "" {
		text = strings.Map(func(r rune) rune {
			if strings.ContainsRune(s.strip, r) {
				return -1
			}
			return r
		}, text)
	}
	if s.match != nil {
		found := s.match.FindStringSubmatch(text)
		switch {
		case found != nil:
			text = found[len(found)-1]
		case s.unmatched == toMissing:
			return "", false, nil
		case s.unmatched == reject:
			return "", false, &Problem{Reason: ReasonUnmatched, Message: "the value does not match the pattern of the mapping"}
		}
	}
	return text, !s.isMissing(text), nil
}

// isMissing reports whether a text stands for a missing value. The empty text does, unless the map has a meaning for it.
func (s *spec) isMissing(text string) bool {
	if text == "" {
		to, mapped := s.mapped[""]
		return !mapped || to == nil
	}
	return len(s.missing) > 0 && slices.Contains(s.missing, text)
}

// translate appends what the map makes of a text; nothing if that is a missing value.
func (s *spec) translate(out *[]string, text string) *Problem {
	if s.mapped != nil {
		key := text
		if s.foldMap {
			key = strings.ToLower(text)
		}
		to, known := s.mapped[key]
		switch {
		case known && to == nil:
			return nil
		case known:
			text = *to
		case s.fallback != nil:
			text = *s.fallback
		case s.unmapped == toMissing:
			return nil
		case s.unmapped == reject:
			return &Problem{Reason: ReasonUnmapped, Message: "the value is not in the map of the mapping; add it, or state default: or unmapped:"}
		}
	}
	if text != "" {
		*out = append(*out, text)
	}
	return nil
}

// template puts a text together; it is missing if one of its columns is.
func (x *Mapper) template(s *spec, fields []string) (string, bool, *Problem) {
	var b strings.Builder
	for _, piece := range s.pieces {
		if piece.column == nil {
			b.WriteString(piece.text)
			continue
		}
		text, ok, problem := x.text(s, fields[piece.column.index])
		if problem != nil || !ok {
			return "", false, problem
		}
		b.WriteString(text)
	}
	return b.String(), true, nil
}

// total counts or adds columns. A sum is missing if one part is; a count, if all are.
func (x *Mapper) total(s *spec, fields []string) (string, bool, *Problem) {
	sum, count, seen := new(big.Rat), 0, false
	for i := range s.columns {
		c := &s.columns[i]
		text, ok, problem := x.text(s, fields[c.index])
		if problem != nil {
			return "", false, problem
		}
		if !ok {
			if s.combine == "sum" {
				return "", false, nil
			}
			continue
		}
		seen = true
		if c.when != nil && !slices.Contains(c.when, text) {
			continue
		}
		count++
		if s.combine == "sum" {
			number, ok := decimal(text, x.point(s), x.group(s))
			if !ok {
				return "", false, notANumber
			}
			part, ok := new(big.Rat).SetString(number)
			if !ok {
				return "", false, notANumber
			}
			sum.Add(sum, part)
		}
	}
	if s.combine == "count" {
		return strconv.Itoa(count), seen, nil
	}
	text := sum.FloatString(audience.MaxScale)
	if point := x.point(s); point != "." {
		text = strings.ReplaceAll(text, ".", point)
	}
	return text, seen, nil
}

// consent adds a consent if its status is known. A consent whose channel is missing in the row is left out: it must not
// become one for every channel.
func (x *Mapper) consent(profile *profilev1.Profile, c *consent, fields []string, number int64) {
	before := len(x.problems)
	status, known := x.one(c.status, c.path+".status", fields, number)
	purpose, hasPurpose := x.one(c.purpose, c.path+".purpose", fields, number)
	channel := audience.ChannelAny
	if c.channel != nil {
		var ok bool
		if channel, ok = x.one(c.channel, c.path+".channel", fields, number); !ok {
			return
		}
	}
	if !known || !hasPurpose || len(x.problems) > before {
		return
	}
	out := &profilev1.Consent{}
	var ok bool
	if out.Purpose, ok = enumValue(wire.Purposes, purpose); !ok {
		x.fail(c.path+".purpose", unknownValue(audience.Purposes))
	}
	if out.Status, ok = enumValue(wire.ConsentStatuses, status); !ok {
		x.fail(c.path+".status", unknownValue(wire.ConsentStatusTexts))
	}
	if channel != audience.ChannelAny {
		if out.Channel, ok = enumValue(wire.Channels, channel); !ok {
			x.fail(c.path+".channel", unknownValue(audience.Channels))
		}
	}
	if c.expires != nil {
		if text, given := x.one(c.expires, c.path+".expire_date", fields, number); given {
			day, problem := c.expires.day(text, kindDate)
			if problem != nil {
				x.fail(c.path+".expire_date", problem)
			}
			out.ExpireDate = day
		}
	}
	if c.decides != nil {
		if text, given := x.one(c.decides, c.path+".decide_date", fields, number); given {
			day, problem := c.decides.day(text, kindDate)
			if problem != nil {
				x.fail(c.path+".decide_date", problem)
			} else {
				out.DecideTime = midnight(day)
			}
		}
	}
	if c.source != nil {
		out.Source, _ = x.one(c.source, c.path+".source", fields, number)
	}
	profile.Consents = append(profile.Consents, out)
}

func midnight(d *date.Date) *timestamppb.Timestamp {
	days, err := wire.Day(d)
	if err != nil {
		return nil
	}
	return &timestamppb.Timestamp{Seconds: days * 86400}
}
