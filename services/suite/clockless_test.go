package suite_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Servers remember which requests were valid: a rule that looked at the clock would make that wrong.
func TestNoRuleOfTheContractsReadsTheClock(t *testing.T) {
	rules := 0
	look := func(name protoreflect.FullName, options any) {
		text := fmt.Sprint(options)
		if !strings.Contains(text, "[buf.validate.") {
			return
		}
		rules++
		for _, word := range []string{"now", "within"} {
			if strings.Contains(text, word) {
				t.Errorf("%s has a rule that says %q: %s", name, word, text)
			}
		}
	}
	var walk func(m protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		look(m.FullName(), m.Options())
		for i := range m.Fields().Len() {
			look(m.Fields().Get(i).FullName(), m.Fields().Get(i).Options())
		}
		for i := range m.Oneofs().Len() {
			look(m.Oneofs().Get(i).FullName(), m.Oneofs().Get(i).Options())
		}
		for i := range m.Messages().Len() {
			walk(m.Messages().Get(i))
		}
	}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(f.Package()), "narrowcast.") {
			for i := range f.Messages().Len() {
				walk(f.Messages().Get(i))
			}
		}
		return true
	})
	if rules < 100 {
		t.Fatalf("saw %d rules: not all contracts were walked", rules)
	}
}
