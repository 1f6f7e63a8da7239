package rpc_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/genproto/googleapis/type/date"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
)

// BenchmarkImportStream imports people over a stream: received, checked, committed in units and acknowledged.
func BenchmarkImportStream(b *testing.B) {
	w := inProcess(b, rpc.Options{})
	stream, _ := w.start(b.Context(), b, "bench")
	acknowledged := make(chan error, 1)
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				acknowledged <- err
				return
			}
		}
	}()
	n := 0
	for b.Loop() {
		rows := make([]*profilev1.Profile, 1000)
		for i := range rows {
			rows[i] = &profilev1.Profile{
				GivenName: proto.String("Ada"), FamilyName: proto.String("Lovelace"), BirthDate: &date.Date{Year: int32(1940 + n%60), Month: 2, Day: 3},
				Gender: typev1.Gender_GENDER_FEMALE, Region: proto.String("FR-40"), PostalCode: proto.String("40100"), JobLevel: typev1.JobLevel(1 + n%10),
				Income: &typev1.Money{CurrencyCode: "EUR", Amount: "51200.50"}, Occupation: proto.String("engineer"),
				Employer:  &profilev1.Employer{Name: proto.String("Works"), Industry: proto.String("industry"), Size: 3},
				Interests: &typev1.TextList{Values: []string{"cycling", "music", "travel"}}, Lifecycle: 2,
				Consents:    []*profilev1.Consent{{Purpose: 1, Channel: 1, Status: 1}},
				Identifiers: append(external(fmt.Sprintf("C%08d", n)), &profilev1.Identifier{Kind: 2, Value: fmt.Sprintf("p%d@example.com", n)}),
			}
			n++
		}
		must(b, stream.Send(chunk(int64(n-len(rows)), rows...)))
	}
	must(b, stream.CloseSend())
	if err := <-acknowledged; !errors.Is(err, io.EOF) {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "profiles/s")
}
