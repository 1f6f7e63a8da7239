// Command narrowcast runs the services and is the command line for them; narrowcast --help shows its verbs.
package main

import (
	"context"
	"os"

	"github.com/mattn/go-isatty"

	"github.com/narrowcast/narrowcast/pkg/run"
	"github.com/narrowcast/narrowcast/services/suite"
	"github.com/narrowcast/narrowcast/services/suite/internal/cli"
)

func main() {
	ctx, stop := run.Signals(context.Background())
	code := cli.Main(ctx, cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Terminal: isatty.IsTerminal(os.Stderr.Fd()), Version: suite.Version,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}
