// Command persona is the persona service as a program of its own: the suite's row with one target.
package main

import (
	"os"

	"github.com/narrowcast/narrowcast/services/suite"
)

func main() {
	os.Exit(suite.Main("persona", os.Args[1:], os.Stdout, os.Stderr))
}
