package mapping

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// spec says where a value comes from and how its text is made ready. Order: source, trim, case, strip, match, missing,
// split, map.
type spec struct {
	at      value
	columns []column // of column: and columns:
	several bool     // written with columns:
	pieces  []piece  // of template:
	values  []string // of value:
	row     bool     // of row_number:

	combine   string // list, first, count, sum; "": by the target
	missing   []string
	own       bool     // missing was stated for this field
	ifMissing []string // nil: stays missing
	upper     int      // 1 upper, -1 lower
	keepSpace bool
	strip     string
	match     *regexp.Regexp
	unmatched policy
	split     string
	mapped    map[string]*string // nil text: missing
	foldMap   bool
	unmapped  policy
	fallback  *string // default:

	date       []dateFormat
	pivot      int // -1: none
	comma      *bool
	thousands  *string
	ageAsOf    *asOf
	currency   string
	currencyIn *column // column that names the currency
	round      bool
	extra      map[string]value
}

// column names a column, with the values for which its label is taken.
type column struct {
	at    value
	name  string // "": by number
	num   int    // from 1; 0: by name alone
	when  []string
	label string
	index int // in the file, when bound
}

// piece is a part of a template: a text or a column.
type piece struct {
	text   string
	column *column
}

// policy says what happens to a value that a map or a pattern does not know.
type policy uint8

const (
	reject policy = iota
	toMissing
	keep
)

func (p *problems) policy(v value) policy {
	switch p.oneOf(v, "reject", "missing", "keep") {
	case "missing":
		return toMissing
	case "keep":
		return keep
	}
	return reject
}

// short says what a plain text in the place of a spec means.
type short func(p *problems, v value, s *spec)

// columnShort takes it as the name, or number, of a column.
func columnShort(p *problems, v value, s *spec) {
	s.columns = []column{p.column(v)}
}

// constantShort takes it as a constant, one of the allowed ones if there are any.
func constantShort(allowed []string) short {
	return func(p *problems, v value, s *spec) {
		if len(allowed) > 0 && !slices.Contains(allowed, v.text()) {
			p.add(v, "this must be one of %s, or a column: write {column: ...}", strings.Join(allowed, ", "))
		}
		s.values = []string{v.text()}
	}
}

var specKeys = []string{
	"column", "columns", "value", "template", "row_number", "when", "combine", "missing", "if_missing", "case", "trim", "strip",
	"match", "unmatched", "split", "map", "ignore_case", "unmapped", "default", "date", "pivot", "decimal_comma", "thousands",
	"age_as_of", "approximate", "currency", "currency_column", "round",
}

func (m *Mapping) parseSpec(p *problems, v value, plain short, extra ...string) *spec {
	s := &spec{at: v, pivot: -1, missing: m.File.Missing, extra: map[string]value{}}
	switch {
	case v.isScalar():
		plain(p, v, s)
		return s
	case !v.isMap():
		p.add(v, "this must be the name of a column, or a map with column:, columns:, value:, template: or row_number:")
		return s
	}
	var when []string
	var approximate bool
	for _, e := range v.pairs(p) {
		key, val := e.key.text(), e.val
		switch key {
		case "column":
			s.columns = []column{p.column(val)}
		case "columns":
			s.several = true
			for _, item := range val.items() {
				s.columns = append(s.columns, p.labelled(item))
			}
			if len(s.columns) == 0 {
				p.add(val, "this needs at least one column")
			}
		case "value":
			s.values = p.texts(val)
		case "template":
			s.pieces = p.template(val)
		case "row_number":
			s.row = p.boolean(val)
		case "when":
			when = p.texts(val)
		case "combine":
			s.combine = p.oneOf(val, "list", "first", "count", "sum")
		case "missing":
			s.missing, s.own = p.texts(val), true
		case "if_missing":
			s.ifMissing = p.texts(val)
		case "case":
			s.upper = map[string]int{"upper": 1, "lower": -1}[p.oneOf(val, "upper", "lower")]
		case "trim":
			s.keepSpace = !p.boolean(val)
		case "strip":
			s.strip = p.scalar(val)
		case "match":
			s.match = p.pattern(val)
		case "unmatched":
			s.unmatched = p.policy(val)
		case "split":
			s.split = map[string]string{"tab": "\t", "space": " "}[val.text()]
			if s.split == "" {
				s.split = p.scalar(val)
			}
		case "map":
			s.mapped = map[string]*string{}
			for _, entry := range val.pairs(p) {
				if entry.val.isNull() {
					s.mapped[entry.key.text()] = nil
					continue
				}
				text := p.scalar(entry.val)
				s.mapped[entry.key.text()] = &text
			}
		case "ignore_case":
			s.foldMap = p.boolean(val)
		case "unmapped":
			s.unmapped = p.policy(val)
		case "default":
			text := p.scalar(val)
			s.fallback = &text
		case "date":
			for _, item := range val.items() {
				s.date = append(s.date, p.dateFormat(item))
			}
		case "pivot":
			s.pivot = p.number(val, 0, 99)
		case "decimal_comma":
			comma := p.boolean(val)
			s.comma = &comma
		case "thousands":
			group := thousands(p, val)
			s.thousands = &group
		case "age_as_of":
			s.ageAsOf = p.asOf(val)
		case "approximate":
			approximate = p.boolean(val)
		case "currency":
			s.currency = p.scalar(val)
		case "currency_column":
			c := p.column(val)
			s.currencyIn = &c
		case "round":
			s.round = p.boolean(val)
		default:
			if slices.Contains(extra, key) {
				s.extra[key] = val
				continue
			}
			p.unknown(e.key, append(slices.Clone(specKeys), extra...)...)
		}
	}
	s.finish(p, when, approximate)
	return s
}

// finish checks what concerns several keys at once.
func (s *spec) finish(p *problems, when []string, approximate bool) {
	v := s.at
	sources := 0
	for _, given := range []bool{len(s.columns) > 0, s.values != nil, s.pieces != nil, s.row} {
		if given {
			sources++
		}
	}
	if sources != 1 {
		p.add(v, "a value comes from exactly one of column:, columns:, value:, template: and row_number:")
	}
	if when != nil {
		if len(s.columns) == 0 {
			p.add(v, "when: belongs to columns:")
		}
		for i := range s.columns {
			if s.columns[i].when == nil {
				s.columns[i].when = when
			}
		}
	}
	if s.unmapped != reject && s.mapped == nil || s.fallback != nil && s.mapped == nil {
		p.add(v, "unmapped: and default: belong to map:")
	}
	if s.unmapped != reject && s.fallback != nil {
		p.add(v, "default: says what happens to unmapped values; leave unmapped: out")
	}
	if s.unmatched != reject && s.match == nil {
		p.add(v, "unmatched: belongs to match:")
	}
	if s.foldMap {
		if s.mapped == nil {
			p.add(v, "ignore_case: belongs to map:")
		}
		folded := make(map[string]*string, len(s.mapped))
		for k, to := range s.mapped {
			folded[strings.ToLower(k)] = to
		}
		s.mapped = folded
	}
	if s.combine != "" && !s.several {
		p.add(v, "combine: belongs to columns:")
	}
	if s.ageAsOf != nil && !s.ageAsOf.lastOfYear() && !approximate {
		p.add(v, "an age gives one birth year only as of 31 December; say approximate: true to take the likelier of the two years")
	}
	if s.currency != "" && !currencyCode.MatchString(s.currency) {
		p.add(v, "currency: must be an ISO 4217 code of three capitals such as EUR")
	}
	for _, f := range s.date {
		if f.shortYear && s.pivot < 0 {
			p.add(v, "a year of two digits needs pivot: 30 means that 00 to 29 are in the 2000s, the others in the 1900s")
		}
	}
}

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)

// column reads a column's name, or its number from 1 where the YAML value is a plain whole number.
func (p *problems) column(v value) column {
	c := column{at: v, name: p.scalar(v), index: -1}
	if v.node.Tag == "!!int" {
		if n, err := strconv.Atoi(c.name); err == nil {
			c.num = n
			if n < 1 {
				p.add(v, "columns are numbered from 1")
			}
		}
	}
	return c
}

// labelled reads an entry of columns: a column, or {column, when, label}.
func (p *problems) labelled(v value) column {
	if !v.isMap() {
		c := p.column(v)
		c.label = c.name
		return c
	}
	var c column
	label := ""
	for _, e := range v.pairs(p) {
		switch e.key.text() {
		case "column":
			found := p.column(e.val)
			found.when = c.when
			c = found
		case "when":
			c.when = p.texts(e.val)
		case "label":
			label = p.scalar(e.val)
		default:
			p.unknown(e.key, "column", "when", "label")
		}
	}
	if c.name == "" {
		p.add(v, "this needs a column:")
	}
	if label != "" && c.when == nil {
		p.add(v, "label: belongs to when:, which says for which values it is taken")
	}
	c.label = label
	if label == "" {
		c.label = c.name
	}
	return c
}

func (p *problems) pattern(v value) *regexp.Regexp {
	re, err := regexp.Compile(p.scalar(v))
	if err != nil {
		p.add(v, "this is not a regular expression (RE2): %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return nil
	}
	if re.NumSubexp() > 1 {
		p.add(v, "a pattern has at most one group in parentheses, the part to take; write (?:...) for others")
	}
	return re
}

// template reads a text with columns in braces; {{ stands for a brace.
func (p *problems) template(v value) []piece {
	text := p.scalar(v)
	pieces := []piece{}
	plain := strings.Builder{}
	for text != "" {
		before, rest, found := strings.Cut(text, "{")
		plain.WriteString(before)
		if !found {
			break
		}
		if after, doubled := strings.CutPrefix(rest, "{"); doubled {
			plain.WriteByte('{')
			text = after
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || name == "" {
			p.add(v, "a column in a template stands in braces: {name}; {{ stands for a brace")
			return pieces
		}
		if plain.Len() > 0 {
			pieces = append(pieces, piece{text: plain.String()})
			plain.Reset()
		}
		c := &column{at: v, name: name, index: -1}
		if n, err := strconv.Atoi(name); err == nil && n > 0 {
			c.num = n
		}
		pieces = append(pieces, piece{column: c})
		text = after
	}
	if plain.Len() > 0 {
		pieces = append(pieces, piece{text: plain.String()})
	}
	return pieces
}
