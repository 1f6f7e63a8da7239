package run_test

import (
	"context"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/run"
)

func ExampleGroup() {
	ctx, stop := context.WithCancel(context.Background()) // a program takes run.Signals
	g := run.NewGroup(run.Options{})
	g.Add(run.Part{
		Name:  "store",
		Start: func(context.Context) error { fmt.Println("store opened"); return nil },
		Stop:  func(context.Context) error { fmt.Println("store closed"); return nil },
	})
	g.Add(run.Part{
		Name: "server",
		Run: func(ctx context.Context) error {
			fmt.Println("serving")
			stop() // as an operator would, later
			<-ctx.Done()
			fmt.Println("server ended")
			return nil
		},
	})
	fmt.Println(g.Run(ctx))
	// Unordered output:
	// store opened
	// serving
	// server ended
	// store closed
	// <nil>
}
