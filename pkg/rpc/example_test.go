package rpc_test

import (
	"context"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
)

// A neighbour in the same process fails, and its caller compares kinds and reasons without knowing how they came.
func ExampleLocal() {
	local, err := rpc.NewLocal(rpc.Options{})
	if err != nil {
		panic(err)
	}
	local.RegisterService(&desc, &service{do: func(context.Context, string) (string, error) {
		return "", fault.New(fault.NotFound, "SEGMENT_NOT_FOUND", "there is no such segment; list them to see their names")
	}})
	_, err = do(context.Background(), local, "segments/none")
	fmt.Println(fault.KindOf(err), fault.ReasonOf(err))
	// Output: not found SEGMENT_NOT_FOUND
}
