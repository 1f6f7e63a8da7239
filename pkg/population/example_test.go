package population_test

import (
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/population"
)

func Example() {
	people := population.New(1, 3)
	for i, p := range people.All() {
		fmt.Println(i, p.ExternalID, p.Email != "")
	}
	// Output:
	// 0 P0000000 true
	// 1 P0000001 true
	// 2 P0000002 true
}
