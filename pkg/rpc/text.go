package rpc

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// CheckText refuses the character U+0000 in any text of a request, by the path of its field. No text of people holds one, some
// databases cannot keep it, and programs that end texts with it would read another one. Methods that store texts as they are call
// it. That a text is UTF-8, protobuf checks.
func CheckText(m proto.Message) error {
	var v fault.Violations
	walkText(m.ProtoReflect(), "", &v)
	return v.Err()
}

func walkText(m protoreflect.Message, path string, v *fault.Violations) {
	m.Range(func(f protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := fault.Join(path, string(f.Name()))
		switch {
		case f.IsMap():
			if !holdsText(f.MapKey()) && !holdsText(f.MapValue()) {
				return true
			}
			value.Map().Range(func(key protoreflect.MapKey, one protoreflect.Value) bool {
				look(f.MapKey(), key.Value(), at, v)
				look(f.MapValue(), one, at, v)
				return true
			})
		case !holdsText(f):
		case f.IsList():
			for i, list := 0, value.List(); i < list.Len(); i++ {
				look(f, list.Get(i), at+"["+strconv.Itoa(i)+"]", v)
			}
		default:
			look(f, value, at, v)
		}
		return true
	})
}

func holdsText(f protoreflect.FieldDescriptor) bool {
	return f.Kind() == protoreflect.StringKind || f.Message() != nil
}

// look looks at one value: a text, a message, or something else.
func look(f protoreflect.FieldDescriptor, value protoreflect.Value, path string, v *fault.Violations) {
	switch {
	case f.Kind() == protoreflect.StringKind:
		if strings.ContainsRune(value.String(), 0) {
			v.Add(path, ReasonValidation, "must not hold the character U+0000; leave it out")
		}
	case f.Message() != nil:
		walkText(value.Message(), path, v)
	}
}
