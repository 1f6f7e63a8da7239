package rpc_test

import (
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
)

func TestMaskedFieldsAreThoseNamedOrThoseSet(t *testing.T) {
	name := "n"
	m := &descriptorpb.FileDescriptorProto{Name: &name, Dependency: []string{"d"}, Syntax: &name}
	can := []string{"name", "package", "dependency"}
	for what, c := range map[string]struct {
		paths []string
		want  []string
	}{
		"none: what is set and can change": {nil, []string{"dependency", "name"}},
		"named":                            {[]string{"package", "name"}, []string{"name", "package"}},
		"a star: all that can":             {[]string{"*"}, []string{"dependency", "name", "package"}},
	} {
		got, err := rpc.MaskedFields(&fieldmaskpb.FieldMask{Paths: c.paths}, m, can...)
		if err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), c.want) {
			t.Errorf("%s: %v, %v; want %v", what, got, err, c.want)
		}
	}
	for _, paths := range [][]string{{"syntax"}, {"name", "*"}, {"name.x"}, {""}} {
		_, err := rpc.MaskedFields(&fieldmaskpb.FieldMask{Paths: paths}, m, can...)
		if fault.ReasonOf(err) != "UNKNOWN_FIELD" || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v: %v, want UNKNOWN_FIELD", paths, err)
		}
	}
}
