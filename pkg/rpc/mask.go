package rpc

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// MaskedFields returns which of the fields that can change an update changes (AIP-134, AIP-161): those that the mask names, those that are
// set in the message where there is no mask, all for "*". A path that is not one of them is
// an Invalid fault of reason UNKNOWN_FIELD.
func MaskedFields(mask *fieldmaskpb.FieldMask, m proto.Message, can ...string) (map[string]bool, error) {
	change := make(map[string]bool, len(can))
	paths := mask.GetPaths()
	if len(paths) == 0 {
		r := m.ProtoReflect()
		for _, name := range can {
			if r.Has(r.Descriptor().Fields().ByName(protoreflect.Name(name))) {
				change[name] = true
			}
		}
		return change, nil
	}
	known := make(map[string]bool, len(can))
	for _, name := range can {
		known[name] = true
	}
	for i, p := range paths {
		switch {
		case p == "*" && len(paths) == 1:
			return known, nil
		case known[p]:
			change[p] = true
		default:
			return nil, fault.InvalidField("UNKNOWN_FIELD", fault.Index("update_mask.paths", i),
				"no such field, or one that cannot change; those that can are "+strings.Join(can, ", ")).With("field", p)
		}
	}
	return change, nil
}
