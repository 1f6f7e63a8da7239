package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/narrowcast/narrowcast/pkg/testkit"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
)

// journeyEvents makes events of all that the Complete Journey says of what households were sent, redeemed and bought.
func journeyEvents(t *testing.T) []*profilev1.Event {
	t.Helper()
	read := func(name string) []row { return readRows(t, testkit.SharedData(t, "completejourney", name), ',') }
	var events []*profilev1.Event
	add := func(id, household, at string, e *profilev1.Event) {
		t.Helper()
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		e.EventId, e.EventTime = id, timestamppb.New(when)
		e.Whose = &profilev1.Event_Identifier{Identifier: &profilev1.Identifier{
			Kind: typev1.IdentifierKind_IDENTIFIER_KIND_EXTERNAL_ID, Source: "completejourney", Value: household,
		}}
		events = append(events, e)
	}
	began := make(map[string]string)
	for _, c := range read("campaign_descriptions.csv") {
		began[c["campaign_id"]] = c["start_date"]
	}
	for _, c := range read("campaigns.csv") {
		add("targeted-"+c["campaign_id"]+"-"+c["household_id"], c["household_id"], began[c["campaign_id"]]+"T00:00:00Z",
			&profilev1.Event{Kind: "targeted", Campaign: "campaigns/c" + c["campaign_id"]})
	}
	for i, r := range read("coupon_redemptions.csv") {
		add("redemption-"+strconv.Itoa(i), r["household_id"], r["redemption_date"]+"T12:00:00Z",
			&profilev1.Event{Kind: "coupon_redemption", Campaign: "campaigns/c" + r["campaign_id"], Details: map[string]string{"coupon": r["coupon_upc"]}})
	}
	products := make(map[string]row)
	for _, p := range read("products.csv.gz") {
		products[p["product_id"]] = p
	}
	for i, l := range read("transactions_sample.csv.gz") {
		p := products[l["product_id"]]
		add("line-"+strconv.Itoa(i), l["household_id"], l["transaction_timestamp"], &profilev1.Event{
			Kind: "purchase", Order: l["basket_id"], Amount: &typev1.Money{CurrencyCode: "USD", Amount: dollars(t, l["sales_value"])},
			Brand: p["brand"], Category: p["product_category"], Channel: typev1.Channel_CHANNEL_IN_PERSON,
		})
	}
	return events
}

// dollars writes a sum with its cents: the file has one of 4.440892e-16.
func dollars(t *testing.T, text string) string {
	t.Helper()
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatFloat(math.Round(value*100)/100, 'f', 2, 64)
}

// importAll imports events and makes the households that are not there.
func importAll(ctx context.Context, t *testing.T, st *stack, events []*profilev1.Event) *profilev1.ImportEventsResponse {
	t.Helper()
	stream, err := st.Events.ImportEvents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- sendAll(stream, events) }()
	var last *profilev1.ImportEventsResponse
	for {
		res, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range res.GetRejections() {
			t.Errorf("row %d is refused: %s %s", r.GetRow(), r.GetReason(), r.GetField())
		}
		last = res
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	return last
}

func sendAll(stream grpc.BidiStreamingClient[profilev1.ImportEventsRequest, profilev1.ImportEventsResponse], events []*profilev1.Event) error {
	err := stream.Send(&profilev1.ImportEventsRequest{Message: &profilev1.ImportEventsRequest_Start_{
		Start: &profilev1.ImportEventsRequest_Start{ImportId: "journey", CreateProfiles: true},
	}})
	offset := 0
	for chunk := range slices.Chunk(events, 2000) {
		err = errors.Join(err, stream.Send(&profilev1.ImportEventsRequest{Message: &profilev1.ImportEventsRequest_Chunk_{
			Chunk: &profilev1.ImportEventsRequest_Chunk{Offset: int64(offset), Events: chunk},
		}}))
		offset += len(chunk)
	}
	return errors.Join(err, stream.CloseSend())
}

// household is what the suite says of one.
type household struct {
	profiled bool
	targeted map[string]bool
	redeemed []string // the campaigns
	spent    string
}

// households reads everything back.
func households(ctx context.Context, t *testing.T, st *stack) []household {
	t.Helper()
	var all []household
	for token := ""; ; {
		page, err := st.Profiles.ListProfiles(ctx, &profilev1.ListProfilesRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.GetProfiles() {
			h := household{profiled: len(p.GetCustom()) > 0, targeted: make(map[string]bool), spent: p.GetTraits().GetPurchases().GetSum().GetAmount()}
			for token := ""; ; {
				events, err := st.Events.ListEvents(ctx, &profilev1.ListEventsRequest{Parent: p.GetName(), PageSize: 1000, PageToken: token})
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range events.GetEvents() {
					switch e.GetKind() {
					case "targeted":
						h.targeted[e.GetCampaign()] = true
					case "coupon_redemption":
						h.redeemed = append(h.redeemed, e.GetCampaign())
					}
				}
				if token = events.GetNextPageToken(); token == "" {
					break
				}
			}
			if own := p.GetTraits().GetOwn(); own["targeted"].GetCount() != int64(len(h.targeted)) || own["coupon_redemption"].GetCount() != int64(len(h.redeemed)) {
				t.Errorf("%s has %d and %d events and the traits %v", p.GetName(), len(h.targeted), len(h.redeemed), own)
			}
			all = append(all, h)
		}
		if token = page.GetNextPageToken(); token == "" {
			return all
		}
	}
}

// What was computed of the Complete Journey outside the project comes out of its households, imported, and its events, recorded.
func TestTheCompleteJourneyIsAnsweredExactly(t *testing.T) {
	t.Parallel()
	events := journeyEvents(t)
	o := options{}.filled(t)
	// The program: under the race detector so many events would take minutes, and it has met them in smaller numbers.
	st := connect(t, startProcess(t, o.logs, "narrowcast", append([]string{"up", "--currency=USD"}, serveFlags(o.dataDir)...)...), o)
	ctx, cancel := context.WithTimeout(t.Context(), 15*patience)
	defer cancel()
	file, mapping := testkit.SharedData(t, "completejourney", "demographics.csv"), filepath.Join("..", "..", "..", "docs", "examples", "mappings", "complete-journey.yaml")
	asProgram(t, st)(t, "import", file, "--mapping="+mapping, "--timeout=2m")
	last := importAll(ctx, t, st, events)
	if n := int64(len(events)); last.GetRecorded() != n || last.GetCommittedThrough() != n || n != 6589+2102+75000 {
		t.Fatalf("of %d events the import recorded %v", n, last)
	}
	if again := importAll(ctx, t, st, events); again.GetRecorded() != last.GetRecorded() || again.GetDuplicates() != 0 {
		t.Errorf("the same import again came to %v", again)
	}

	types := make(map[string]string)
	for _, c := range readRows(t, testkit.SharedData(t, "completejourney", "campaign_descriptions.csv"), ',') {
		types["campaigns/c"+c["campaign_id"]] = strings.TrimPrefix(c["campaign_type"], "Type ")
	}
	got := make(map[string]int)
	spenders := int64(0)
	for _, h := range households(ctx, t, st) {
		count := func(name string, campaigns []string) {
			seen := make(map[string]bool)
			for _, c := range campaigns {
				got[name+" "+types[c]]++
				if !seen[types[c]] {
					got["households "+name+" "+types[c]]++
				}
				seen[types[c]] = true
			}
		}
		var targeted []string
		for c := range h.targeted {
			targeted = append(targeted, c)
		}
		count("targeted", targeted)
		count("redeemed", h.redeemed)
		if h.targeted["campaigns/c18"] {
			got["targeted by 18"]++
		}
		if slices.Contains(h.redeemed, "campaigns/c18") {
			got["redeemed 18"]++
		}
		for _, c := range h.redeemed {
			if !h.targeted[c] {
				got["redeemed untargeted"]++
			}
		}
		if h.profiled {
			got["profiled"]++
			if len(h.targeted) == 0 {
				got["profiled and never targeted"]++
			}
		}
		if spent, err := strconv.ParseFloat(h.spent, 64); err == nil && spent >= 100 {
			spenders++
		}
	}
	want := map[string]int{
		"targeted A": 3647, "targeted B": 2368, "targeted C": 574, "households targeted A": 1490, "households targeted B": 995, "households targeted C": 397,
		"redeemed A": 1718, "redeemed B": 323, "redeemed C": 61, "households redeemed A": 371, "households redeemed B": 116, "households redeemed C": 30,
		"targeted by 18": 1133, "redeemed 18": 214, "profiled": 801, "profiled and never targeted": 45,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the households say\n%v, want\n%v", got, want)
	}
	// The index has the same people.
	for filter, want := range map[string]int64{
		`purchase.count >= 1`: distinct(events, "purchase"),
		`purchase.sum >= 100`: spenders,
		`custom.age_band == "35-44" && custom.marital_stated == "Married" && custom.kids != "0" && custom.income_band in ["50-74K", "75-99K"]`: 24,
	} {
		if n := counted(ctx, t, st, &campaignv1.AudienceSpec{Filter: filter}); n != want || n == 0 {
			t.Errorf("%s: %d, want %d", filter, n, want)
		}
	}
}

// distinct is how many households have an event of a kind.
func distinct(events []*profilev1.Event, kind string) int64 {
	seen := make(map[string]bool)
	for _, e := range events {
		if e.GetKind() == kind {
			seen[e.GetIdentifier().GetValue()] = true
		}
	}
	return int64(len(seen))
}
