package fault_test

import (
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

func ExampleNew() {
	err := fmt.Errorf("activate campaign: %w",
		fault.New(fault.Precondition, "CAMPAIGN_NOT_DRAFT", "only a draft can be activated; copy the campaign first").
			With("campaign", "campaigns/spring"))

	fmt.Println(fault.KindOf(err), fault.ReasonOf(err))
	// Output: precondition CAMPAIGN_NOT_DRAFT
}

func ExampleViolations() {
	var v fault.Violations
	spec := v.In("spec")
	spec.Add("age", "RANGE_EMPTY", "40 to 30 holds nobody; swap the bounds")
	spec.Add("regions[0]", "REGION_UNKNOWN", "XX is no ISO 3166 code; use one such as FR or FR-NAQ")
	for _, one := range fault.As(v.Err()).Violations {
		fmt.Println(one)
	}
	// Output:
	// spec.age: 40 to 30 holds nobody; swap the bounds
	// spec.regions[0]: XX is no ISO 3166 code; use one such as FR or FR-NAQ
}
