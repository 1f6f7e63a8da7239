package e2e_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Messages in scenario files are written as the contract names them, with short forms for what would be tedious:
//
//	enum                   its value's name without the prefix: director, 51-200
//	google.type.Date       1990-05-17, 1990-05, 1990
//	Money                  52000.00 EUR
//	AgeRange               25-34, 25-, -34
//	AttributeValue         text, number, true, 2024-01-31 or a list
//	Consent                marketing/email granted until 2030-01-01
//	Identifier             external_id crm/42
//	AudienceRef            audiences/x, or the spec itself
//	lists in a message     [cycling, opera]
//	repeated               a single value stands for a list of one
//
// A text that begins with $ is a name given earlier in the file.
type compact struct {
	lookup func(name string) (string, error)
}

// message fills m from a node.
func (c compact) message(m proto.Message, n *yaml.Node) error {
	if n == nil || n.IsZero() {
		return nil
	}
	return c.fill(m.ProtoReflect(), n)
}

func (c compact) fill(m protoreflect.Message, n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if short := shortFormOf(m.Descriptor().FullName()); short != nil {
		done, err := short(c, m, n)
		if err != nil {
			return at(n, fmt.Errorf("%s: %w", m.Descriptor().Name(), err))
		}
		if done {
			return nil
		}
	}
	if n.Kind == yaml.SequenceNode {
		if f := m.Descriptor().Fields().ByName("values"); f != nil && f.IsList() {
			m.Mutable(f) // present even if the list is empty
			return c.field(m, f, n)
		}
		if f := m.Descriptor().Fields().ByName("paths"); f != nil && f.IsList() { // a field mask
			return c.field(m, f, n)
		}
	}
	if n.Kind != yaml.MappingNode {
		return at(n, fmt.Errorf("%s needs a mapping", m.Descriptor().FullName()))
	}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		f := m.Descriptor().Fields().ByName(protoreflect.Name(key.Value))
		if f == nil {
			return at(key, fmt.Errorf("%s has no field %q", m.Descriptor().FullName(), key.Value))
		}
		if err := c.field(m, f, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (c compact) field(m protoreflect.Message, f protoreflect.FieldDescriptor, n *yaml.Node) error {
	switch {
	case f.IsMap():
		into := m.Mutable(f).Map()
		for i := 0; i < len(n.Content); i += 2 {
			v := into.NewValue()
			if err := c.fill(v.Message(), n.Content[i+1]); err != nil {
				return err
			}
			into.Set(protoreflect.ValueOfString(n.Content[i].Value).MapKey(), v)
		}
		return nil
	case f.IsList():
		list, items := m.Mutable(f).List(), []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			items = n.Content
		}
		for _, item := range items {
			if f.Message() != nil {
				if err := c.fill(list.AppendMutable().Message(), item); err != nil {
					return err
				}
				continue
			}
			v, err := c.scalar(f, item)
			if err != nil {
				return err
			}
			list.Append(v)
		}
		return nil
	case f.Message() != nil:
		return c.fill(m.Mutable(f).Message(), n)
	}
	v, err := c.scalar(f, n)
	if err == nil {
		m.Set(f, v)
	}
	return err
}

func (c compact) scalar(f protoreflect.FieldDescriptor, n *yaml.Node) (protoreflect.Value, error) {
	text, err := c.text(n)
	if err != nil {
		return protoreflect.Value{}, err
	}
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text), nil
	case protoreflect.BoolKind:
		b, err := strconv.ParseBool(text)
		return protoreflect.ValueOfBool(b), at(n, err)
	case protoreflect.Int32Kind:
		i, err := strconv.ParseInt(text, 10, 32)
		return protoreflect.ValueOfInt32(int32(i)), at(n, err)
	case protoreflect.Int64Kind:
		i, err := strconv.ParseInt(text, 10, 64)
		return protoreflect.ValueOfInt64(i), at(n, err)
	case protoreflect.DoubleKind:
		d, err := strconv.ParseFloat(text, 64)
		return protoreflect.ValueOfFloat64(d), at(n, err)
	case protoreflect.EnumKind:
		number, err := enumValue(f.Enum(), text)
		return protoreflect.ValueOfEnum(number), at(n, err)
	}
	return protoreflect.Value{}, at(n, fmt.Errorf("no short form for %s", f.Kind()))
}

// text is a scalar's text, with names given earlier replaced.
func (c compact) text(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", at(n, fmt.Errorf("a single value is needed"))
	}
	if name, ok := strings.CutPrefix(n.Value, "$"); ok && c.lookup != nil {
		text, err := c.lookup(name)
		return text, at(n, err)
	}
	return n.Value, nil
}

var capital = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// enumValue finds a value by its name without the prefix, or by its number, for those that the enum does not have.
func enumValue(e protoreflect.EnumDescriptor, text string) (protoreflect.EnumNumber, error) {
	if number, ok := strings.CutPrefix(text, "#"); ok {
		n, err := strconv.ParseInt(number, 10, 32)
		return protoreflect.EnumNumber(n), err
	}
	prefix := strings.ToUpper(capital.ReplaceAllString(string(e.Name()), "${1}_${2}"))
	word := strings.ToUpper(strings.NewReplacer("-", "_", "+", "_PLUS", " ", "_").Replace(text))
	v := e.Values().ByName(protoreflect.Name(prefix + "_" + word))
	if v == nil {
		return 0, fmt.Errorf("%s has no value %q", e.Name(), text)
	}
	return v.Number(), nil
}

// at adds the line of the file to an error.
func at(n *yaml.Node, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("line %d: %w", n.Line, err)
}

// shortForm fills a message from a short form; false if the node is written out.
type shortForm func(c compact, m protoreflect.Message, n *yaml.Node) (bool, error)

// shortFormOf is a function and no table, because reading a short form may read another one.
func shortFormOf(name protoreflect.FullName) shortForm {
	switch name {
	case "google.type.Date":
		return scalarForm(dateForm)
	case "google.protobuf.Duration":
		return scalarForm(durationForm)
	case "narrowcast.type.v1.Money":
		return scalarForm(moneyForm)
	case "narrowcast.type.v1.AgeRange":
		return scalarForm(ageForm)
	case "narrowcast.profile.v1.Consent":
		return scalarForm(consentForm)
	case "narrowcast.profile.v1.Identifier":
		return scalarForm(identifierForm)
	case "narrowcast.type.v1.AttributeValue":
		return valueForm
	case "narrowcast.campaign.v1.AudienceRef":
		return audienceForm
	}
	return nil
}

func scalarForm(form func(c compact, m protoreflect.Message, text string) error) shortForm {
	return func(c compact, m protoreflect.Message, n *yaml.Node) (bool, error) {
		if n.Kind != yaml.ScalarNode {
			return false, nil
		}
		return true, form(c, m, n.Value)
	}
}

func (c compact) set(m protoreflect.Message, field string, n *yaml.Node) error {
	return c.field(m, m.Descriptor().Fields().ByName(protoreflect.Name(field)), n)
}

// put sets a field from text; empty text leaves it.
func (c compact) put(m protoreflect.Message, field, text string) error {
	if text == "" {
		return nil
	}
	return c.set(m, field, &yaml.Node{Kind: yaml.ScalarNode, Value: text})
}

func (c compact) puts(m protoreflect.Message, pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := c.put(m, pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func dateForm(c compact, m protoreflect.Message, text string) error {
	parts := append(strings.Split(text, "-"), "0", "0")
	return c.puts(m, "year", parts[0], "month", parts[1], "day", parts[2])
}

func durationForm(_ compact, m protoreflect.Message, text string) error {
	d, err := time.ParseDuration(text)
	fields := m.Descriptor().Fields()
	m.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(int64(d/time.Second)))
	m.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(int32(d%time.Second)))
	return err
}

func moneyForm(c compact, m protoreflect.Message, text string) error {
	amount, currency, _ := strings.Cut(text, " ")
	return c.puts(m, "amount", amount, "currency_code", currency)
}

func ageForm(c compact, m protoreflect.Message, text string) error {
	least, most, _ := strings.Cut(text, "-")
	return c.puts(m, "min", least, "max", most)
}

func consentForm(c compact, m protoreflect.Message, text string) error {
	words := append(strings.Fields(text), "", "", "", "")
	purpose, channel, _ := strings.Cut(words[0], "/")
	return c.puts(m, "purpose", purpose, "channel", channel, "status", words[1], "expire_date", words[3])
}

func identifierForm(c compact, m protoreflect.Message, text string) error {
	kind, rest, _ := strings.Cut(text, " ")
	source, value, ok := strings.Cut(rest, "/")
	if !ok {
		source, value = "", rest
	}
	return c.puts(m, "kind", kind, "source", source, "value", value)
}

func valueForm(c compact, m protoreflect.Message, n *yaml.Node) (bool, error) {
	arm := map[string]string{"!!str": "text", "!!int": "decimal", "!!float": "decimal", "!!bool": "boolean", "!!timestamp": "date", "!!seq": "texts"}[n.ShortTag()]
	if arm == "" {
		return false, nil
	}
	return true, c.set(m, arm, n)
}

func audienceForm(c compact, m protoreflect.Message, n *yaml.Node) (bool, error) {
	if n.Kind == yaml.ScalarNode {
		return true, c.set(m, "name", n)
	}
	return true, c.set(m, "spec", n)
}
