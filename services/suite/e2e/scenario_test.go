package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/narrowcast/narrowcast/pkg/testkit"
)

// scenario is one file of testdata.
type scenario struct {
	Name  string
	Given struct {
		// Attributes by id, profiles by a name that the file chooses, segments and audiences by id, in the order of the file.
		Attributes, Profiles, Segments, Personas, Audiences yaml.Node
	}
	Steps []step
}

// step asks or does one thing. Exactly one of Who, Explain and Call is set.
type step struct {
	// Why says what the step shows.
	Why string
	// Who asks an audience, a saved one's name or a spec, in every way there is: count, member stream, and explain of each profile.
	// All must say the same. Are is who is in it; Size is their number where the file does not say who (one per household).
	Who       yaml.Node
	Are       []string
	Size      *int
	Narrowing yaml.Node // part: count, in order, "everyone" first
	// Explain asks why one profile is in an audience.
	Explain  yaml.Node
	Of       string
	Member   bool
	Verdicts yaml.Node // part: true, false or unknown, in order
	// Call makes any call of the contract. Save keeps its answer under a name; Answer holds some of its fields.
	Call    string
	Request yaml.Node
	Save    string
	Answer  yaml.Node
	// Error is what the step ends with instead.
	Error *failure

	line int
}

// failure is what a caller can rely on in an error.
type failure struct {
	Code     string
	Reason   string
	Field    string            // one of the violations' paths, for INVALID_ARGUMENT
	Says     string            // a part of the message
	Metadata map[string]string // some of it
}

// UnmarshalYAML notes the line, for messages. Fields that the step does not have are refused by the decoder.
func (s *step) UnmarshalYAML(n *yaml.Node) error {
	type plain step
	s.line = n.Line
	for i := 0; i < len(n.Content); i += 2 {
		if key := n.Content[i].Value; !slices.Contains(stepKeys, key) {
			return fmt.Errorf("line %d: a step has no %q", n.Content[i].Line, key)
		}
	}
	return n.Decode((*plain)(s))
}

var stepKeys = []string{"why", "who", "are", "size", "narrowing", "explain", "of", "member", "verdicts", "call", "request", "save", "answer", "error"}

func readScenario(path string) (*scenario, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dec := yaml.NewDecoder(f)
	dec.KnownFields(true)
	s := &scenario{}
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	if s.Name == "" || len(s.Steps) == 0 {
		return nil, fmt.Errorf("%s: a scenario has a name and steps", filepath.Base(path))
	}
	return s, nil
}

// shape is a way to run the suite.
type shape struct {
	name     string
	redis    bool
	database bool
	start    func(testing.TB, options) *stack
}

// run starts the suite in its shape, on the Redis and the PostgreSQL that the shape is on.
func (s shape) run(t testing.TB, o options) *stack {
	t.Helper()
	if s.redis {
		// Shared by all tests: installations keep apart by their random ids.
		o.redis = "redis://" + testkit.Redis(t) + "/0"
	}
	if s.database {
		o.database = testkit.Postgres(t)
	}
	return s.start(t, o)
}

// shapes are the ways to run the suite. The first one's answers are what the others are compared with.
var shapes = []shape{
	{"one process", false, false, oneProcess},
	{"four suites", false, false, fourSuites},
	{"four processes", true, false, fourProcesses},
	{"four processes on PostgreSQL", true, true, fourProcesses},
}

// TestScenarios runs every file in every shape. A file's shapes run one after the other, files at the same time.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			s, err := readScenario(file)
			if err != nil {
				t.Fatal(err)
			}
			var first transcript
			for _, shape := range shapes {
				t.Run(shape.name, func(t *testing.T) {
					got := s.run(t, shape.run(t, options{}))
					if shape.name == shapes[0].name {
						first = got // nothing where the shape failed, which is told already
					} else if diff := first.differs(got); first != nil && diff != "" {
						t.Errorf("answers differ from those of %s:\n%s", shapes[0].name, diff)
					}
				})
			}
		})
	}
}

// transcript is what was answered, with uids replaced by the names of the file, so that shapes can be compared.
type transcript []string

func (a transcript) differs(b transcript) string {
	var out strings.Builder
	for i := range max(len(a), len(b)) {
		x, y := "(nothing)", "(nothing)"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			fmt.Fprintf(&out, "- %s\n+ %s\n", x, y)
		}
	}
	return out.String()
}
