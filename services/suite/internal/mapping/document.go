package mapping

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// ReasonInvalid is the reason of the fault about a mapping file that is wrong.
const ReasonInvalid = "MAPPING_INVALID"

// maxSize is the size of a mapping file above which it is refused, in bytes.
const maxSize = 4 << 20

// value is a place in the YAML document: a node and the path to it.
type value struct {
	node *yaml.Node
	path string
}

// problems collects what is wrong with a mapping file, so that it can be mended in one go.
type problems struct {
	list fault.Violations
}

func (p *problems) add(v value, format string, args ...any) {
	line := 0
	if v.node != nil {
		line = v.node.Line
	}
	p.list.Add(v.path, ReasonInvalid, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
}

// document reads a YAML file of exactly one document.
func document(text []byte) (value, error) {
	if len(text) > maxSize {
		return value{}, fault.New(fault.Invalid, ReasonInvalid, "the mapping file is larger than 4 MiB")
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var root yaml.Node
	if err := dec.Decode(&root); errors.Is(err, io.EOF) {
		return value{}, fault.New(fault.Invalid, ReasonInvalid, "the mapping file is empty")
	} else if err != nil {
		return value{}, fault.New(fault.Invalid, ReasonInvalid, "the mapping file is not YAML: "+strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return value{}, fault.New(fault.Invalid, ReasonInvalid, "the mapping file holds more than one YAML document")
	}
	return value{node: follow(root.Content[0])}, nil
}

// follow returns what an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	for range 100 { // an alias of an alias cannot be written, but an endless loop would be worse than a strange error
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			return n
		}
		n = n.Alias
	}
	return n
}

func (v value) isScalar() bool { return v.node.Kind == yaml.ScalarNode && !v.isNull() }
func (v value) isMap() bool    { return v.node.Kind == yaml.MappingNode }
func (v value) isList() bool   { return v.node.Kind == yaml.SequenceNode }
func (v value) isNull() bool   { return v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!null" }

// text is the scalar as written: yes, 007 and 1.50 stay what they are.
func (v value) text() string { return v.node.Value }

// pair is a key with its value.
type pair struct {
	key value
	val value
}

// pairs returns the entries of a map, in order; a key that occurs twice is a problem.
func (v value) pairs(p *problems) []pair {
	if !v.isMap() {
		if !v.isNull() {
			p.add(v, "this must be a map of keys and values")
		}
		return nil
	}
	var list []pair
	seen := map[string]bool{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		k := follow(v.node.Content[i])
		key := value{node: k, path: fault.Join(v.path, k.Value)}
		if k.Kind != yaml.ScalarNode {
			p.add(v, "a key must be a plain text")
			continue
		}
		if seen[k.Value] {
			p.add(key, "this key is given twice")
			continue
		}
		seen[k.Value] = true
		list = append(list, pair{key: key, val: value{node: follow(v.node.Content[i+1]), path: key.path}})
	}
	return list
}

// items returns the entries of a list; a single value counts as a list of one.
func (v value) items() []value {
	if !v.isList() {
		if v.isNull() {
			return nil
		}
		return []value{v}
	}
	var list []value
	for i, n := range v.node.Content {
		list = append(list, value{node: follow(n), path: fault.Index(v.path, i)})
	}
	return list
}

// unknown reports a key that has no meaning here.
func (p *problems) unknown(key value, known ...string) {
	slices.Sort(known)
	p.add(key, "%q means nothing here; known: %s", key.text(), strings.Join(known, ", "))
}

func (p *problems) scalar(v value) string {
	if !v.isScalar() {
		p.add(v, "this must be a single value")
		return ""
	}
	return v.text()
}

func (p *problems) texts(v value) []string {
	list := []string{}
	for _, item := range v.items() {
		if item.node.Kind != yaml.ScalarNode {
			p.add(item, "this must be a single value")
			continue
		}
		list = append(list, item.text())
	}
	return list
}

func (p *problems) boolean(v value) bool {
	switch strings.ToLower(p.scalar(v)) {
	case "true", "yes", "on":
		return true
	case "false", "no", "off", "":
		return false
	}
	p.add(v, "this must be true or false")
	return false
}

func (p *problems) number(v value, lo, hi int) int {
	n, err := strconv.Atoi(p.scalar(v))
	if err != nil || n < lo || n > hi {
		p.add(v, "this must be a whole number from %d to %d", lo, hi)
	}
	return n
}

// character reads a single character; names for those that are hard to write are allowed.
func (p *problems) character(v value, names map[string]rune) rune {
	text := ""
	if v.node.Kind == yaml.ScalarNode {
		text = v.text()
	}
	if r, named := names[text]; named {
		return r
	}
	if runes := []rune(text); len(runes) == 1 {
		return runes[0]
	}
	p.add(v, "this must be a single character")
	return 0
}

func (p *problems) oneOf(v value, allowed ...string) string {
	text := p.scalar(v)
	if !slices.Contains(allowed, text) && v.isScalar() {
		p.add(v, "this must be one of %s", strings.Join(allowed, ", "))
	}
	return text
}
