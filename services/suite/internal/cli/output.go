package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/suite/internal/table"
)

func (s *session) json() bool { return s.opts.Output == "json" }

func (s *session) print(format string, args ...any) error {
	_, err := fmt.Fprintf(s.env.Stdout, format, args...)
	return err
}

// note tells a person something beside the answer; programs do not hear it.
func (s *session) note(format string, args ...any) {
	fmt.Fprintf(s.env.Stderr, format, args...)
}

// message prints a message of the contract as JSON. Numbers that are zero are there, so that programs need not guess.
func (s *session) message(m proto.Message) error {
	text, err := encode(m)
	if err != nil {
		return err
	}
	return s.print("%s\n", text)
}

// encode writes a message as JSON that is the same each time; protobuf's own varies its spaces on purpose.
func encode(m proto.Message) ([]byte, error) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return out.Bytes(), nil
}

func (s *session) printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return s.print("%s\n", text)
}

func (s *session) table(t *table.Table) error { return t.Write(s.env.Stdout) }

// facts prints a list of names and values; empty values are left out.
func (s *session) facts(pairs ...string) error {
	t := table.New()
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			t.Row(pairs[i], pairs[i+1])
		}
	}
	return s.table(t)
}

// info says what an answer was made from.
func (s *session) info(i *typev1.AnswerInfo) error {
	if i == nil {
		return nil
	}
	return s.print("as of revision %s (definitions %s), %s old; %s fields from memory, %s read\n",
		table.Int(i.GetRevision()), table.Int(i.GetDefinitionRevision()), i.GetAge().AsDuration().Round(time.Millisecond),
		table.Int(i.GetFieldsFromMemory()), table.Int(i.GetFieldsFromStore()))
}

// complaint is an error as programs read it.
type complaint struct {
	Kind     string            `json:"kind"`
	Reason   string            `json:"reason,omitempty"`
	Message  string            `json:"message"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Fields   []wrongField      `json:"fields,omitempty"`
	RetryMS  int64             `json:"retry_after_ms,omitempty"`
	Next     string            `json:"next,omitempty"`
}

type wrongField struct {
	Field   string `json:"field"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message"`
}

// complain tells an error and returns the exit code.
func (s *session) complain(err error) int {
	var wrong usageError
	if errors.As(err, &wrong) {
		s.tell(complaint{Kind: "usage", Message: wrong.text, Next: "add --help to see what can be said here"})
		return ExitUsage
	}
	c := complaint{Kind: fault.KindOf(err).String(), Reason: fault.ReasonOf(err), Message: err.Error()}
	if f := fault.As(err); f != nil {
		c.Message, c.Metadata, c.RetryMS = f.Message, f.Metadata, f.RetryAfter.Milliseconds()
		for _, v := range f.Violations {
			c.Fields = append(c.Fields, wrongField{Field: v.Field, Reason: v.Reason, Message: v.Description})
		}
		for _, p := range f.Preconditions {
			c.Fields = append(c.Fields, wrongField{Field: p.Subject, Reason: p.Type, Message: p.Description})
		}
		if c.Message == "" {
			c.Message = f.Error()
		}
	}
	c.Next = s.next(c)
	s.tell(c)
	return ExitError
}

func (s *session) tell(c complaint) {
	if s.json() {
		if text, err := json.MarshalIndent(map[string]complaint{"error": c}, "", "  "); err == nil {
			s.note("%s\n", text)
			return
		}
	}
	if c.Reason != "" {
		c.Message += " (" + c.Reason + ")"
	}
	s.note("error: %s\n", c.Message)
	for _, f := range c.Fields {
		name := f.Field
		if name == "" {
			name = "request"
		}
		if f.Reason != "" && f.Reason != c.Reason {
			name += " " + f.Reason
		}
		s.note("  at    %s: %s\n", name, f.Message)
	}
	var keys []string
	for k := range c.Metadata {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if !strings.Contains(c.Message, c.Metadata[k]) {
			s.note("  with  %s = %s\n", k, c.Metadata[k])
		}
	}
	if c.Next != "" {
		s.note("  next  %s\n", c.Next)
	}
}

// next says what to do about an error where the error itself may not.
func (s *session) next(c complaint) string {
	switch c.Reason {
	case "SERVER_UNREACHABLE":
		return "start the services with: narrowcast up; or say where they are with --addr or NARROWCAST_ADDR (now " + s.opts.Addr + ")"
	case "ETAG_MISMATCH":
		return "read the resource again (get), and repeat the change with its etag"
	case "MAPPING_INVALID":
		return "mend the mapping file; nothing was imported"
	case "SEGMENT_BUILDING", "INDEX_NOT_READY", "TOKEN_NOT_REACHED", "BLOCK_UNKNOWN":
		return "try again in a moment, or wait longer with --timeout"
	case "INDEX_STALE":
		return "see whether the segment service and its connection to the profile service are well; --allow-stale takes the old answer"
	case "MESSAGE_TOO_LARGE":
		return "split the request into smaller ones"
	case "UNKNOWN_ATTRIBUTE", "RULE_UNKNOWN_ATTRIBUTE", "ATTRIBUTE_NOT_FOUND":
		return "narrowcast attribute list shows the declared ones; narrowcast attribute create declares one"
	case "RULE_UNKNOWN_SEGMENT", "UNKNOWN_SEGMENT", "SEGMENT_NOT_FOUND":
		return "narrowcast segment list shows the segments"
	case "GATE_DENIED":
		return "--export-token or NARROWCAST_EXPORT_TOKEN: the token that the services were started with; without one nobody may export"
	case "NOT_ONE_PROFILE":
		return "narrowcast profile resolve --file shows all who have it; narrowcast profile merge makes one of two"
	case keyring.ReasonKeyNotFound:
		return "narrowcast keys list shows the keys of a file"
	case "AUDIENCE_NOT_FOUND":
		return "narrowcast audience list shows the saved ones"
	}
	switch c.Kind {
	case fault.Unavailable.String(), fault.Deadline.String():
		return "try again, or wait longer with --timeout"
	case fault.Internal.String():
		return "the cause is in the log of the service, under the request id"
	}
	return ""
}

// calendar writes a date as far as it is known.
func calendar(d *date.Date) string {
	switch {
	case d.GetYear() == 0:
		return ""
	case d.GetMonth() == 0:
		return fmt.Sprintf("%04d", d.GetYear())
	case d.GetDay() == 0:
		return fmt.Sprintf("%04d-%02d", d.GetYear(), d.GetMonth())
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.GetYear(), d.GetMonth(), d.GetDay())
}

// percent writes a share.
func percent(share float64) string { return fmt.Sprintf("%.1f %%", share*100) }

// resource completes a name: "young" in the collection segments is "segments/young".
func resource(collection, name string) string {
	if name == "" || strings.HasPrefix(name, collection+"/") {
		return name
	}
	return collection + "/" + name
}

func resources(collection string, names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, resource(collection, n))
	}
	return out
}

// short is a resource's id.
func short(name string) string {
	_, id, found := strings.Cut(name, "/")
	if !found {
		return name
	}
	return id
}
