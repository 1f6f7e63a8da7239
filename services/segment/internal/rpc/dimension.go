package rpc

import (
	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
)

// dimension reads one dimension of a breakdown. field is its path in the request.
func dimension(schema *audience.Schema, d *segmentv1.BreakdownSegmentRequest_Dimension, field string) (audience.Breakdown, error) {
	b, err := audience.NewBreakdown(schema, d.GetAttribute(), d.GetBounds(), nil)
	if f := fault.As(err); f != nil {
		return b, f.Under(field)
	}
	return b, err
}
