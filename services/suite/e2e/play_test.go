package e2e_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	personav1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/persona/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// play is one run of a scenario in one shape.
type play struct {
	*stack
	t        testing.TB
	ctx      context.Context
	profiles map[string]string        // the file's names to "profiles/{uid}"
	saved    map[string]proto.Message // answers kept by the file
	said     transcript
}

func (s *scenario) run(t *testing.T, st *stack) transcript {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := &play{stack: st, t: t, ctx: ctx, profiles: map[string]string{}, saved: map[string]proto.Message{}}
	p.given(s)
	for i := range s.Steps {
		step := &s.Steps[i]
		p.step(step)
	}
	return p.said
}

// given writes what a scenario starts from.
func (p *play) given(s *scenario) {
	p.t.Helper()
	c := p.compact()
	for id, n := range pairs(p.t, &s.Given.Attributes) {
		req := &profilev1.CreateAttributeRequest{AttributeId: id, Attribute: &profilev1.Attribute{}}
		p.must(c.message(req.Attribute, n))
		p.do(p.Attributes.CreateAttribute(p.ctx, req))
	}
	var names []string
	upsert := &profilev1.BatchUpsertProfilesRequest{}
	for name, n := range pairs(p.t, &s.Given.Profiles) {
		one := &profilev1.Profile{}
		p.must(c.message(one, n))
		names, upsert.Profiles = append(names, name), append(upsert.Profiles, one)
	}
	if len(names) > 0 {
		res, err := p.Profiles.BatchUpsertProfiles(p.ctx, upsert)
		p.must(err)
		for i, one := range res.GetResults() {
			p.profiles[names[i]] = one.GetName()
		}
	}
	for id, n := range pairs(p.t, &s.Given.Segments) {
		req := &segmentv1.CreateSegmentRequest{SegmentId: id, Segment: &segmentv1.Segment{}}
		if n.Kind == yaml.ScalarNode { // a rule; else the members of a list
			req.Segment.Definition = &segmentv1.Segment_Rule{Rule: n.Value}
			p.do(p.Segments.CreateSegment(p.ctx, req))
			continue
		}
		req.Segment.Definition = &segmentv1.Segment_StaticList_{StaticList: &segmentv1.Segment_StaticList{}}
		p.do(p.Segments.CreateSegment(p.ctx, req))
		add := &segmentv1.AddSegmentMembersRequest{Name: "segments/" + id}
		for _, one := range n.Content {
			add.Profiles = append(add.Profiles, p.profile(one.Value))
		}
		if len(add.Profiles) > 0 {
			p.do(p.Segments.AddSegmentMembers(p.ctx, add))
		}
	}
	for id, n := range pairs(p.t, &s.Given.Personas) {
		if strings.HasPrefix(n.Value, "segments/") {
			p.do(p.Personas.GeneratePersona(p.ctx, &personav1.GeneratePersonaRequest{Segment: n.Value, PersonaId: id, AtLeastAsFresh: p.Token()}))
			continue
		}
		p.do(p.Personas.CreatePersona(p.ctx, &personav1.CreatePersonaRequest{PersonaId: id, Persona: &personav1.Persona{Rule: n.Value}}))
	}
	for id, n := range pairs(p.t, &s.Given.Audiences) {
		p.saveAudience(id, n)
	}
}

// pairs yields the entries of a mapping in the order of the file.
func pairs(t testing.TB, n *yaml.Node) func(func(string, *yaml.Node) bool) {
	if n.Kind != 0 && n.Kind != yaml.MappingNode {
		t.Fatalf("line %d: a mapping is needed", n.Line)
	}
	return func(yield func(string, *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

// compact reads messages with the names that are known so far.
func (p *play) compact() compact {
	return compact{lookup: func(name string) (string, error) {
		if name == "token" {
			return p.Token(), nil
		}
		if full, ok := p.profiles[name]; ok {
			return full, nil
		}
		from, field, _ := strings.Cut(name, ".")
		m := p.saved[from]
		if m == nil {
			return "", fmt.Errorf("nothing is named %q", from)
		}
		f := m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field))
		if f == nil {
			return "", fmt.Errorf("%s has no field %q", m.ProtoReflect().Descriptor().Name(), field)
		}
		return m.ProtoReflect().Get(f).String(), nil
	}}
}

func (p *play) profile(name string) string {
	p.t.Helper()
	full, ok := p.profiles[name]
	if !ok {
		p.t.Fatalf("no profile is named %q", name)
	}
	return full
}

func (p *play) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// do is must for a call whose answer does not matter.
func (p *play) do(_ proto.Message, err error) {
	p.t.Helper()
	p.must(err)
}

// names replaces profiles by the file's names.
func (p *play) names(text string) string {
	for name, full := range p.profiles {
		text = strings.ReplaceAll(text, full, "$"+name)
	}
	return text
}

func (p *play) say(format string, args ...any) {
	p.said = append(p.said, p.names(fmt.Sprintf(format, args...)))
}

// call makes the call of a step, on whichever service has the method.
func (p *play) call(s *step) {
	p.t.Helper()
	for _, service := range []any{p.Profiles, p.Attributes, p.Identity, p.Segments, p.Insight, p.Personas, p.Audiences, p.Campaigns} {
		method := reflect.ValueOf(service).MethodByName(s.Call)
		if !method.IsValid() {
			continue
		}
		req := reflect.New(method.Type().In(1).Elem())
		m, ok := req.Interface().(proto.Message)
		if !ok {
			p.t.Fatalf("line %d: %s is no unary call", s.line, s.Call)
		}
		p.must(p.compact().message(m, &s.Request))
		out := method.Call([]reflect.Value{reflect.ValueOf(p.ctx), req})
		err, _ := out[1].Interface().(error)
		p.outcome(s, s.Call, err)
		if err != nil || s.Error != nil {
			return
		}
		answer, _ := out[0].Interface().(proto.Message)
		p.answer(s, answer)
		if s.Save != "" {
			p.saved[s.Save] = answer
		}
		if made, ok := answer.(*profilev1.Profile); ok && s.Save != "" && s.Call == "CreateProfile" {
			p.profiles[s.Save] = made.GetName()
		}
		return
	}
	p.t.Fatalf("line %d: the contract has no %q", s.line, s.Call)
}

// outcome compares how a call ended with what the step expects, and reports it.
func (p *play) outcome(s *step, what string, err error) {
	p.t.Helper()
	if err == nil {
		if s.Error != nil {
			p.t.Errorf("line %d: %s succeeds; want %s (%s)", s.line, what, s.Error.Reason, s.Why)
		}
		return
	}
	f := fault.As(err)
	if f == nil {
		p.t.Fatalf("line %d: %s ends with an error that is no fault: %v", s.line, what, err)
	}
	if s.Error == nil {
		p.t.Fatalf("line %d: %s: %v (%s)", s.line, what, err, s.Why)
	}
	var fields []string
	for _, v := range f.Violations {
		fields = append(fields, v.Field)
	}
	p.say("%d %s: %s %s %v %q", s.line, what, f.Kind, f.Reason, fields, f.Message)
	var want codes.Code
	p.must(want.UnmarshalJSON([]byte(`"` + s.Error.Code + `"`)))
	if code := rpc.Status(f, "").Code(); code != want || f.Reason != s.Error.Reason {
		p.t.Errorf("line %d: %s ends with %v %s %v; want %v %s (%s)", s.line, what, code, f.Reason, err, want, s.Error.Reason, s.Why)
	}
	if s.Error.Field != "" && !slices.Contains(fields, s.Error.Field) {
		p.t.Errorf("line %d: %s blames the fields %q; want %q (%v)", s.line, what, fields, s.Error.Field, err)
	}
	if !strings.Contains(p.names(f.Message), s.Error.Says) {
		p.t.Errorf("line %d: %s says %q; want it to say %q", s.line, what, f.Message, s.Error.Says)
	}
	for key, value := range s.Error.Metadata {
		if p.names(f.Metadata[key]) != value {
			p.t.Errorf("line %d: %s has the metadata %v; want %s=%q", s.line, what, f.Metadata, key, value)
		}
	}
}
