package suite

import (
	"context"
	"fmt"
	"io"

	"github.com/alecthomas/kong"

	"github.com/narrowcast/narrowcast/pkg/run"
)

// Version is the version of the program; the build sets it at link time.
var Version = "dev"

// Main runs one target as a program of its own and returns its exit code: 0 after a clean stop, 1 after a failure, 2 if the
// arguments make no sense. It is the table's row with one target, and nothing else.
func Main(target string, args []string, stdout, stderr io.Writer) int {
	var flags struct {
		Config
		Neighbours
		OTLP string `name:"otlp-endpoint" help:"Collector of traces (OTLP over gRPC), such as http://127.0.0.1:4317." env:"NARROWCAST_OTLP_ENDPOINT"`
	}
	done, code := false, 0
	parser, err := kong.New(&flags, kong.Name(target), kong.Description("The "+target+" service of Narrowcast."),
		kong.Writers(stdout, stderr), kong.Exit(func(c int) { done, code = true, c }))
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return 1
	}
	_, err = parser.Parse(args)
	switch {
	case done:
		return code
	case err != nil:
		fmt.Fprintf(stderr, "error: %v\n  next  %s --help shows what can be said here\n", err, target)
		return 2
	}
	cfg := flags.Config
	cfg.Target, cfg.Neighbours, cfg.OTLP, cfg.Version = []string{target}, flags.Neighbours, flags.OTLP, Version
	s, err := New(cfg, Deps{Logger: cfg.NewLogger(stderr)})
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return 2
	}
	ctx, stop := run.Signals(context.Background())
	defer stop()
	if err := s.Run(ctx); err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return 1
	}
	return 0
}
