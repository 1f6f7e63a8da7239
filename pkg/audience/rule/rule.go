package rule

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/parser"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Reasons of the faults of a refused rule.
const (
	ReasonSyntax           = "RULE_SYNTAX"            // not CEL
	ReasonType             = "RULE_TYPE"              // an attribute is asked what its kind does not answer
	ReasonUnknownAttribute = "RULE_UNKNOWN_ATTRIBUTE" // no such attribute
	ReasonUnknownValue     = "RULE_UNKNOWN_VALUE"     // not a value that the attribute can have
	ReasonUnsupported      = "RULE_UNSUPPORTED"       // CEL, but not answered from the index
	ReasonTooComplex       = "RULE_TOO_COMPLEX"       // too long, too deep or too many parts
)

// Metadata keys of the position at which a rule is refused, both counted from 1.
const (
	MetaLine   = "line"
	MetaColumn = "column"
)

// The bounds of a rule.
const (
	MaxText  = 32 << 10 // bytes
	MaxNodes = 10_000   // names, literals and operators
	MaxDepth = 200      // parentheses and operators inside each other
)

// Rule is a rule that was understood.
type Rule struct {
	// Text is the rule as it was written.
	Text string
	Pred audience.Pred
	// Segments are the uids of the segments that it names, each once, in the order of their first mention.
	Segments []string
	// DateRelative tells that the rule itself looks at the date; the segments that it names may do so too.
	DateRelative bool
}

// Compile reads a rule against a schema. resolve returns the uid of the segment of a resource name, "segments/vip", whichever
// way the rule writes it; its errors are returned with the position. Nil refuses all segments.
func Compile(text string, schema *audience.Schema, resolve func(name string) (uid string, err error)) (*Rule, error) {
	if schema == nil {
		return nil, fault.New(fault.Internal, ReasonType, "a rule is read against a schema; none was given")
	}
	switch {
	case len(text) > MaxText:
		return nil, at(1, 1, ReasonTooComplex, "the rule is longer than "+strconv.Itoa(MaxText)+" bytes; make segments of its parts and name them")
	case !utf8.ValidString(text):
		return nil, at(1, 1, ReasonSyntax, "the rule is not UTF-8 text")
	case strings.TrimSpace(text) == "":
		return nil, at(1, 1, ReasonSyntax, "the rule is empty; write a condition such as gender == \"female\", or true for everybody")
	}
	tree, err := parse(text)
	if err != nil {
		return nil, err
	}
	c := &checker{schema: schema, resolve: resolve, info: tree.SourceInfo(), text: text}
	p, err := c.condition(tree.Expr())
	if err != nil {
		return nil, err
	}
	return &Rule{Text: text, Pred: p, Segments: audience.Segments(p), DateRelative: audience.DateRelative(p)}, nil
}

// celParser is made once: it holds its options alone and is safe for concurrent use. It has no macros, so that has, all
// and exists arrive as the calls that were written.
var celParser = sync.OnceValues(func() (*parser.Parser, error) {
	return parser.NewParser(
		parser.MaxRecursionDepth(MaxDepth),
		parser.ExpressionSizeCodePointLimit(MaxText),
		parser.MaxExpressionNodeCount(MaxNodes),
		parser.ErrorReportingLimit(4),
		parser.EnablePrattParser(true),
	)
})

func parse(text string) (*ast.AST, error) {
	p, err := celParser()
	if err != nil {
		return nil, fault.New(fault.Internal, ReasonSyntax, "the rule parser cannot be made").Wrap(err)
	}
	tree, errs := p.Parse(common.NewTextSource(text))
	if errs == nil || len(errs.GetErrors()) == 0 {
		return tree, nil
	}
	first := slices.MinFunc(errs.GetErrors(), func(a, b *common.Error) int {
		if d := a.Location.Line() - b.Location.Line(); d != 0 {
			return d
		}
		return a.Location.Column() - b.Location.Column()
	})
	for _, e := range errs.GetErrors() {
		// The parser has no codes: its texts about limits are pinned by a test.
		if strings.HasPrefix(e.Message, "expression ") && strings.Contains(e.Message, " limit") {
			return nil, at(1, 1, ReasonTooComplex, "the rule has too many parts, or too many inside each other; make segments of its parts and name them")
		}
	}
	message := strings.TrimPrefix(first.Message, "Syntax error: ")
	return nil, at(first.Location.Line(), first.Location.Column()+1, ReasonSyntax, "the rule cannot be read here: "+firstLine(message))
}

// at is a fault at a position of the rule.
func at(line, column int, reason, message string) *fault.Error {
	line, column = max(line, 1), max(column, 1)
	l, c := strconv.Itoa(line), strconv.Itoa(column)
	return fault.New(fault.Invalid, reason, "line "+l+", column "+c+": "+message).With(MetaLine, l).With(MetaColumn, c)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	const most = 200
	if utf8.RuneCountInString(line) > most {
		line = string([]rune(line)[:most]) + "..."
	}
	return line
}

// Quote returns text as a literal of the rule language, for programs that write rules. Invalid UTF-8 becomes U+FFFD.
func Quote(text string) string {
	// Go's quoting is CEL's: the same escapes, and \x only below 0x80 once the text is valid.
	return strconv.Quote(strings.ToValidUTF8(text, "\uFFFD"))
}

// QuoteList returns texts as a list literal of the rule language.
func QuoteList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = Quote(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
