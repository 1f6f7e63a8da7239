package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	segmentv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/segment/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// counted counts an audience that has one filter, or one segment.
func counted(ctx context.Context, t *testing.T, st *stack, spec *campaignv1.AudienceSpec) int64 {
	t.Helper()
	res, err := st.Audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: specRef(spec)})
	if err != nil {
		t.Fatal(err)
	}
	return res.GetCount()
}

// A segment by what people bought has those who bought as soon as the token of the event is asked for, and loses who takes it back.
func TestSegmentsFollowRecordedEvents(t *testing.T) {
	t.Parallel()
	for _, shape := range shapes[:2] {
		t.Run(shape.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			st := shape.run(t, options{})
			var names []string
			for range 3 {
				p, err := st.Profiles.CreateProfile(ctx, &profilev1.CreateProfileRequest{Profile: &profilev1.Profile{}})
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, p.GetName())
			}
			rule := &segmentv1.Segment{Definition: &segmentv1.Segment_Rule{Rule: `purchase.count_90d >= 2 && purchase.sum_90d > 10`}}
			if _, err := st.Segments.CreateSegment(ctx, &segmentv1.CreateSegmentRequest{SegmentId: "buyers", Segment: rule}); err != nil {
				t.Fatal(err)
			}
			buyers := &campaignv1.AudienceSpec{AllSegments: []string{"segments/buyers"}}
			n := 0
			buy := func(who, days int, order, amount string) string {
				t.Helper()
				n++
				res, err := st.Events.RecordEvents(ctx, &profilev1.RecordEventsRequest{Events: []*profilev1.Event{{
					EventId: fmt.Sprint("e", n), Whose: &profilev1.Event_Profile{Profile: names[who]}, Kind: "purchase", Order: order,
					EventTime: timestamppb.New(time.Now().AddDate(0, 0, -days)), Amount: &typev1.Money{CurrencyCode: "EUR", Amount: amount},
				}}})
				if err != nil {
					t.Fatal(err)
				}
				return res.GetResults()[0].GetName()
			}
			want := func(count int64, why string) {
				t.Helper()
				if got := counted(ctx, t, st, buyers); got != count {
					t.Errorf("%s: %d in the segment, want %d", why, got, count)
				}
			}
			want(0, "nobody has bought")
			buy(0, 3, "a", "8.00")
			last := buy(0, 5, "b", "3.00")
			want(1, "two orders")
			buy(1, 3, "c", "8.00")
			buy(1, 3, "c", "3.00")
			want(1, "two lines of one order")
			buy(2, 3, "d", "8.00")
			buy(2, 200, "e", "3.00")
			want(1, "an order long ago")
			if got := counted(ctx, t, st, &campaignv1.AudienceSpec{Filter: `lifecycle == "customer"`}); got != 3 {
				t.Errorf("%d customers, want 3", got)
			}
			if _, err := st.Events.DeleteEvent(ctx, &profilev1.DeleteEventRequest{Name: last}); err != nil {
				t.Fatal(err)
			}
			want(0, "an order taken back")
		})
	}
}
