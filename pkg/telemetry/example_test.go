package telemetry_test

import (
	"context"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/telemetry"
)

func ExampleNew() {
	ctx := context.Background()
	tel, err := telemetry.New(ctx, telemetry.Config{Service: "narrowcast-segment", Prometheus: true})
	if err != nil {
		panic(err)
	}
	_, span := tel.Tracer("segment").Start(ctx, "tick")
	fmt.Println(span.SpanContext().IsSampled()) // no endpoint, no traces
	span.End()
	fmt.Println(tel.Shutdown(ctx))
	// Output:
	// false
	// <nil>
}
