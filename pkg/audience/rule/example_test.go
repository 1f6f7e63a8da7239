package rule_test

import (
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/audience/rule"
	"github.com/narrowcast/narrowcast/pkg/fault"
)

func ExampleCompile() {
	schema, err := audience.NewSchema("EUR", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := rule.Compile(`region.within("FR-NAQ") && age() >= 25`, schema, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.DateRelative)

	_, err = rule.Compile(`job_levl >= "director"`, schema, nil)
	fmt.Println(fault.ReasonOf(err))
	fmt.Println(fault.As(err).Message)
	// Output:
	// true
	// RULE_UNKNOWN_ATTRIBUTE
	// line 1, column 1: there is no attribute "job_levl"; did you mean job_level?
}
