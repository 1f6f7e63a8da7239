package mapping

import (
	"regexp"
	"slices"
	"strings"

	"github.com/narrowcast/narrowcast/pkg/audience"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/suite/internal/delimited"
)

// Mapping is a parsed mapping file.
type Mapping struct {
	// Description is for people.
	Description string
	// File says how the file is written.
	File File
	// Attributes are the custom attributes that the mapping declares, in the order of the file.
	Attributes []*profilev1.Attribute

	fields    []field
	external  []externalID
	consents  []consent
	contacts  []identifier
	attribute map[string]*profilev1.Attribute // declared here, by id
	wanted    map[string]value                // custom ids that fields are for, with their place
}

// File says how a file is written.
type File struct {
	delimited.Options
	Encoding  string   // "" is UTF-8, or what a byte order mark says
	Header    bool     // the first record names the columns
	Skip      int      // records before the header to ignore
	TrimSpace bool     // white space around values is dropped
	Comma     bool     // decimals have a comma
	Thousands string   // character between groups of three digits; "": none
	Missing   []string // texts that stand for a missing value, beside the empty one
	Ragged    bool     // short rows are completed by missing values
}

// field is an attribute of a profile with where its value comes from.
type field struct {
	path   string // in the profile, as errors name it
	target target
	spec   *spec
	titles *titles // of a job level that is read from titles
}

type externalID struct {
	source string
	spec   *spec
}

type identifier struct {
	kind   typev1.IdentifierKind
	path   string
	source string
	spec   *spec
}

// consent holds a spec for each part; purpose, status and source may be constants.
type consent struct {
	path                                               string
	purpose, channel, status, expires, decides, source *spec
}

var attributeID = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// Parse reads a mapping file. What is wrong with it is one Invalid fault (MAPPING_INVALID) with a violation for each
// problem: its path in the file, its line and what would be right.
func Parse(text []byte) (*Mapping, error) {
	doc, err := document(text)
	if err != nil {
		return nil, err
	}
	p := &problems{}
	m := &Mapping{
		File:      File{Options: delimited.Options{Separator: ',', Quote: '"', Trim: true}, Header: true, TrimSpace: true},
		attribute: map[string]*profilev1.Attribute{}, wanted: map[string]value{},
	}
	sawProfile := false
	// Attributes first: fields of the profile depend on their types, whatever the order of the file.
	entries := doc.pairs(p)
	for _, e := range entries {
		switch e.key.text() {
		case "description":
			m.Description = p.scalar(e.val)
		case "file":
			m.parseFile(p, e.val)
		case "attributes":
			for _, a := range e.val.pairs(p) {
				m.parseAttribute(p, a)
			}
		case "profile":
			sawProfile = true
		default:
			p.unknown(e.key, "description", "file", "attributes", "profile")
		}
	}
	for _, e := range entries {
		if e.key.text() == "profile" {
			m.parseProfile(p, e.val)
		}
	}
	if !sawProfile {
		p.add(doc, "the mapping has no profile: part, which says what the columns mean")
	}
	if err := p.list.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Mapping) parseFile(p *problems, v value) {
	f := &m.File
	for _, e := range v.pairs(p) {
		switch e.key.text() {
		case "separator":
			f.Separator = p.character(e.val, map[string]rune{"tab": '\t', `\t`: '\t', "comma": ',', "semicolon": ';', "pipe": '|', "space": ' '})
		case "quote":
			f.Quote = p.character(e.val, map[string]rune{"none": 0, "": 0, "double": '"', "single": '\''})
		case "escape":
			f.Backslash = p.oneOf(e.val, "doubled", "backslash") == "backslash"
		case "comment":
			f.Comment = p.character(e.val, map[string]rune{"none": 0, "": 0})
		case "lazy_quotes":
			f.Lazy = p.boolean(e.val)
		case "encoding":
			f.Encoding = strings.ToLower(p.scalar(e.val))
			if e.val.isScalar() && !slices.Contains(delimited.Encodings(), f.Encoding) {
				p.add(e.val, "this encoding is not known; known: %s", strings.Join(delimited.Encodings(), ", "))
			}
		case "header":
			f.Header = p.boolean(e.val)
		case "skip_rows":
			f.Skip = p.number(e.val, 0, 1000)
		case "trim":
			f.TrimSpace = p.boolean(e.val)
			f.Trim = f.TrimSpace
		case "decimal_comma":
			f.Comma = p.boolean(e.val)
		case "thousands":
			f.Thousands = thousands(p, e.val)
		case "missing":
			f.Missing = p.texts(e.val)
		case "ragged":
			f.Ragged = p.boolean(e.val)
		default:
			p.unknown(e.key, "separator", "quote", "escape", "comment", "lazy_quotes", "encoding", "header", "skip_rows", "trim",
				"decimal_comma", "thousands", "missing", "ragged")
		}
	}
}

func thousands(p *problems, v value) string {
	r := p.character(v, map[string]rune{"none": 0, "": 0, "space": ' '})
	if r == 0 {
		return ""
	}
	return string(r)
}

// attributeTypes are the types of custom attributes, by their names in mapping files and on the command line.
var attributeTypes = map[string]profilev1.Attribute_Type{
	"string": profilev1.Attribute_TYPE_STRING, "decimal": profilev1.Attribute_TYPE_DECIMAL, "bool": profilev1.Attribute_TYPE_BOOL,
	"date": profilev1.Attribute_TYPE_DATE, "string_list": profilev1.Attribute_TYPE_STRING_LIST,
}

// AttributeType returns the type of a custom attribute by its name, such as "string_list"; false if there is none.
func AttributeType(name string) (profilev1.Attribute_Type, bool) {
	t, ok := attributeTypes[name]
	return t, ok
}

// AttributeTypeName is the inverse of [AttributeType].
func AttributeTypeName(t profilev1.Attribute_Type) string {
	for name, candidate := range attributeTypes {
		if candidate == t {
			return name
		}
	}
	return ""
}

func (m *Mapping) parseAttribute(p *problems, e pair) {
	id := e.key.text()
	a := &profilev1.Attribute{Name: wire.AttributeName(id)}
	if !attributeID.MatchString(id) {
		p.add(e.key, "an attribute's id is 1 to 63 of a-z, 0-9 and _, beginning with a letter")
	}
	typ := ""
	if e.val.isScalar() {
		typ = p.oneOf(e.val, "string", "decimal", "bool", "date", "string_list")
	} else {
		for _, part := range e.val.pairs(p) {
			switch part.key.text() {
			case "type":
				typ = p.oneOf(part.val, "string", "decimal", "bool", "date", "string_list")
			case "scale":
				a.Scale = int32(p.number(part.val, 0, audience.MaxScale))
			case "allowed_values":
				a.AllowedValues = p.texts(part.val)
			case "sensitive":
				a.Sensitive = p.boolean(part.val)
			case "description":
				a.Description = p.scalar(part.val)
			default:
				p.unknown(part.key, "type", "scale", "allowed_values", "sensitive", "description")
			}
		}
		if typ == "" {
			p.add(e.val, "an attribute needs a type: string, decimal, bool, date or string_list")
		}
	}
	a.Type = attributeTypes[typ]
	if a.Scale != 0 && typ != "decimal" {
		p.add(e.val, "only a decimal has a scale")
	}
	if len(a.AllowedValues) > 0 && typ != "string" && typ != "string_list" {
		p.add(e.val, "only a string or string_list has allowed values")
	}
	m.Attributes = append(m.Attributes, a)
	m.attribute[id] = a
}

func (m *Mapping) parseProfile(p *problems, v value) {
	for _, e := range v.pairs(p) {
		switch key := e.key.text(); key {
		case "external_id":
			for _, item := range e.val.items() {
				m.parseExternalID(p, item)
			}
		case "identifiers":
			for _, item := range e.val.items() {
				m.parseIdentifier(p, item)
			}
		case "email", "phone":
			s := m.parseSpec(p, e.val, columnShort)
			m.contacts = append(m.contacts, identifier{kind: wire.IdentifierKinds.Value(key), path: key, spec: s})
		case "consents":
			for _, item := range e.val.items() {
				m.parseConsent(p, item)
			}
		case "custom", "employer":
			for _, inner := range e.val.pairs(p) {
				m.parseField(p, key+"."+inner.key.text(), inner)
			}
		default:
			m.parseField(p, key, e)
		}
	}
	if len(m.fields)+len(m.external)+len(m.contacts)+len(m.consents) == 0 {
		p.add(v, "the profile: part maps no field")
	}
	seen := map[string]bool{}
	for _, f := range m.fields {
		for _, path := range f.takes() {
			if seen[path] {
				p.add(value{node: v.node, path: path}, "this field is mapped twice")
			}
			seen[path] = true
		}
	}
}

func (m *Mapping) parseField(p *problems, name string, e pair) {
	var extra []string
	if name == audience.AttrJobLevel {
		extra = []string{keyFrom, keyMinConfidence, keyOccupation}
	}
	spec := m.parseSpec(p, e.val, columnShort, extra...)
	if id, custom := strings.CutPrefix(name, audience.AttrCustomPrefix); custom {
		if !attributeID.MatchString(id) {
			p.add(e.key, "an attribute's id is 1 to 63 of a-z, 0-9 and _, beginning with a letter")
			return
		}
		m.wanted[id] = e.key
		m.fields = append(m.fields, field{path: name, spec: spec})
		return
	}
	target, known := builtinTarget(name, spec)
	if !known {
		names := builtinNames()
		p.unknown(e.key, append(names, "external_id", "identifiers", "email", "phone", "consents", "custom.<id>")...)
		return
	}
	if problem := target.check(spec); problem != "" {
		p.add(e.val, "%s", problem)
	}
	m.fields = append(m.fields, field{path: name, target: target, spec: spec, titles: p.titles(spec)})
}

func (m *Mapping) parseExternalID(p *problems, v value) {
	x := externalID{source: "import"}
	x.spec = m.parseSpec(p, v, columnShort, "source")
	if x.spec.extra["source"].node != nil {
		x.source = p.scalar(x.spec.extra["source"])
	}
	m.external = append(m.external, x)
}

func (m *Mapping) parseIdentifier(p *problems, v value) {
	x := identifier{path: v.path}
	x.spec = m.parseSpec(p, v, columnShort, "source", "kind")
	if kind, given := x.spec.extra["kind"]; given {
		x.kind = wire.IdentifierKinds.Value(p.oneOf(kind, wire.IdentifierKindTexts...))
	} else {
		p.add(v, "an identifier needs a kind: %s", strings.Join(wire.IdentifierKindTexts, ", "))
	}
	if source, given := x.spec.extra["source"]; given {
		x.source = p.scalar(source)
	}
	if x.kind == typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID && x.source == "" {
		p.add(v, "an external id needs a source: the system that it comes from")
	}
	m.contacts = append(m.contacts, x)
}

func (m *Mapping) parseConsent(p *problems, v value) {
	c := consent{path: v.path}
	for _, e := range v.pairs(p) {
		switch e.key.text() {
		case "purpose":
			c.purpose = m.parseSpec(p, e.val, constantShort(audience.Purposes))
		case "channel":
			c.channel = m.parseSpec(p, e.val, constantShort(append([]string{audience.ChannelAny}, audience.Channels...)))
		case "status":
			c.status = m.parseSpec(p, e.val, constantShort(wire.ConsentStatusTexts))
		case "source":
			c.source = m.parseSpec(p, e.val, constantShort(nil))
		case "expire_date":
			c.expires = m.parseSpec(p, e.val, columnShort)
		case "decide_date":
			c.decides = m.parseSpec(p, e.val, columnShort)
		default:
			p.unknown(e.key, "purpose", "channel", "status", "source", "expire_date", "decide_date")
		}
	}
	if c.purpose == nil || c.status == nil {
		p.add(v, "a consent needs a purpose and a status")
		return
	}
	m.consents = append(m.consents, c)
}

// Wanted returns the ids of the custom attributes that fields are for and that the mapping does not declare itself: they
// must be declared in the store.
func (m *Mapping) Wanted() []string {
	var ids []string
	for id := range m.wanted {
		if m.attribute[id] == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// undeclared is the fault about fields for attributes that nobody declares.
func (m *Mapping) undeclared(ids []string) error {
	p := &problems{}
	for _, id := range ids {
		p.add(m.wanted[id], "the custom attribute %q is not declared; add it under attributes:, or declare it with narrowcast attribute create", id)
	}
	return p.list.Err()
}
