package audience_test

import (
	"fmt"
	"maps"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/audiencetest"
)

func Example() {
	schema, err := audience.NewSchema("EUR", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	block, err := audiencetest.NewBlock(schema, maps.All(map[uint16]audience.Facts{
		0: {"region": {Text: "FR-40"}, "job_level": {Text: "vp"}},
		1: {"region": {Text: "FR-40"}}, // whose job level nobody knows
		2: {"region": {Text: "DE-BE"}, "job_level": {Text: "cxo"}},
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	spec := audience.Spec{Regions: []string{"FR-NAQ"}, MinJobLevel: "director"}
	steps, err := spec.Steps(schema)
	if err != nil {
		fmt.Println(err)
		return
	}
	exprs := make([]*audience.Expr, len(steps))
	for i, step := range steps {
		if exprs[i], err = audience.Compile(step.Pred, audience.Env{Schema: schema, Day: 20_000}); err != nil {
			fmt.Println(err)
			return
		}
	}
	counts := make([]uint64, len(steps)+1)
	var members audience.Bits
	if err := audience.Narrow(exprs, block, counts, &members); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("everybody", counts[0])
	for i, step := range steps {
		fmt.Println(step.Label, counts[i+1])
	}
	// Output:
	// everybody 3
	// region FR-NAQ 2
	// job level director or above 1
}
