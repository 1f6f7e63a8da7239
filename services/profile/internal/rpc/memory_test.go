package rpc_test

import (
	"runtime"
	"testing"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/services/profile/internal/rpc"
)

// live is how many bytes of the heap are in use once what nobody holds is gone.
func live() int64 {
	runtime.GC()
	runtime.GC() // what pools gave back is gone only after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryOfImportAndWatchDoesNotGrowWithTheirLength weighs the heap at equal steps of a long import and of a long replay: what a person
// leaves behind would be seen.
func TestMemoryOfImportAndWatchDoesNotGrowWithTheirLength(t *testing.T) {
	const (
		step, steps = 10_000, 6
		perPerson   = 48 // bytes: less than a uid with its revision in a map
	)
	w := inProcess(t, rpc.Options{})
	flat := func(what string, weights []int64) {
		t.Helper()
		grown := weights[len(weights)-1] - weights[0] // the first step fills caches
		t.Logf("%s: live heap in KiB after each %d people: %d", what, step, kibibytes(weights))
		if limit := int64(perPerson * step * (steps - 1)); grown > limit {
			t.Errorf("%s: the heap grew by %d bytes over %d people", what, grown, step*(steps-1))
		}
	}

	stream, _ := w.start(t.Context(), t, "long")
	received := make(chan int64)
	go func() { // beside the sending: who does not receive stops the server
		defer close(received)
		for {
			res, err := stream.Recv()
			if err != nil {
				return
			}
			received <- res.GetCommittedThrough()
		}
	}()
	var weights []int64
	for sent, through := 0, int64(0); sent < step*steps; {
		for range 10 {
			chunk := chunk(int64(sent), people(sent, step/10)...)
			sent += step / 10
			done := make(chan error, 1)
			go func() { done <- stream.Send(chunk) }()
			for sending := true; sending; {
				select {
				case through = <-received:
				case err := <-done:
					must(t, err)
					sending = false
				}
			}
		}
		for through < int64(sent-sent%5000) { // whole commit units
			n, ok := <-received
			if !ok {
				t.Fatalf("the import ended at %d", through)
			}
			through = n
		}
		weights = append(weights, live())
	}
	must(t, stream.CloseSend())
	for range received {
	}
	flat("import", weights)

	watch, err := w.WatchProfiles(t.Context(), &profilev1.WatchProfilesRequest{})
	must(t, err)
	weights = nil
	for got := 0; got < step*steps; {
		res, err := watch.Recv()
		must(t, err)
		before := got
		got += len(res.GetChanges())
		if got/step > before/step {
			weights = append(weights, live())
		}
	}
	flat("watch", weights)
}

func kibibytes(of []int64) []int64 {
	out := make([]int64, len(of))
	for i, n := range of {
		out[i] = n >> 10
	}
	return out
}
