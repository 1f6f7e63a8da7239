package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"github.com/narrowcast/narrowcast/pkg/client"
	"github.com/narrowcast/narrowcast/pkg/telemetry"
	"github.com/narrowcast/narrowcast/services/suite"
)

// Exit codes.
const (
	ExitOK    = 0
	ExitError = 1 // the command was understood and could not be done
	ExitUsage = 2 // the command was not understood
)

// Env is what a command gets from outside.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Terminal says that Stderr is a terminal, where a progress bar may move.
	Terminal bool
	// Telemetry measures calls; nil: what the flags say.
	Telemetry *telemetry.Telemetry
	// Client reaches the services; nil: the addresses in the flags are dialled.
	Client *client.Client
	// Started hears of the suite that `up` or `demo` started, when it is ready; nil hears nothing.
	Started func(*suite.Suite)
	Version string
	Now     func() time.Time
}

// commands is the command line.
type commands struct {
	Addr             string `help:"Address of the services, host:port." env:"NARROWCAST_ADDR" default:"127.0.0.1:7411" group:"Services"`
	suite.Neighbours `group:"Services"`
	Output           string        `short:"o" help:"Tables for people, or JSON for programs." enum:"table,json" default:"table" env:"NARROWCAST_OUTPUT"`
	Timeout          time.Duration `help:"Longest wait for an answer." default:"30s" env:"NARROWCAST_TIMEOUT"`
	OTLP             string        `group:"Services" name:"otlp-endpoint" help:"Collector of traces (OTLP over gRPC), such as http://127.0.0.1:4317." env:"NARROWCAST_OTLP_ENDPOINT"`

	Up         upCommand                 `cmd:"" help:"Run the services: all of them in this process, or those of --target."`
	Migrate    migrateCommand            `cmd:"" help:"Bring the schemas of the databases to this program's version, and exit."`
	Backup     backupCommand             `cmd:"" help:"Copy the stores of the services into a folder, while they run. Keys are not copied."`
	Restore    restoreCommand            `cmd:"" help:"Fill empty stores from a backup, on the same kind of database or the other."`
	Doctor     doctorCommand             `cmd:"" help:"Look for what cannot be, and change nothing."`
	Demo       demoCommand               `cmd:"" help:"Run the services with a synthetic population and show a narrow audience."`
	Bench      benchCommand              `cmd:"" help:"Measure the services on a population whose every answer is known, and check the answers."`
	Import     importCommand             `cmd:"" help:"Import profiles from a file of separated values (CSV)."`
	Audience   audienceCommands          `cmd:"" help:"Resolve narrow audiences."`
	Segment    segmentCommands           `cmd:"" help:"Divide the market into segments."`
	Persona    personaCommands           `cmd:"" help:"Describe who a segment is."`
	Campaign   campaignCommands          `cmd:"" help:"Keep campaigns."`
	Profile    profileCommands           `cmd:"" help:"Read and write single profiles."`
	Event      eventCommands             `cmd:"" help:"Record what people did, one event or a file of them."`
	Attribute  attributeCommands         `cmd:"" help:"Declare custom attributes."`
	Keys       keysCommands              `cmd:"" help:"Make and change the file of keys that protect contact data."`
	Completion kongcompletion.Completion `cmd:"" help:"Print how to switch on completion in a shell."`
	Version    versionCommand            `cmd:"" help:"Print the version."`
}

// session is what a command works with.
type session struct {
	env    Env
	ctx    context.Context
	opts   *commands
	client *client.Client
}

// command is a verb.
type command interface {
	run(s *session) error
}

// usageError is a command that was understood by the parser and makes no sense.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// errQuiet ends a command whose failure has been told already.
var errQuiet = errors.New("")

// exited stops the parser after it has printed help.
type exited struct{ code int }

// parse reads the command line; ok is false if help or completion was printed, or it was wrong, and code is the exit code.
func parse(env Env, args []string) (cmds *commands, run command, path string, code int, ok bool) {
	cmds = &commands{}
	parser, err := kong.New(cmds, kong.Name("narrowcast"), kong.UsageOnError(),
		kong.Description("Narrowcast finds narrow audiences: profiles, segments, personas, campaigns."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.Writers(env.Stdout, env.Stderr), kong.Exit(func(code int) { panic(exited{code}) }),
	)
	if err != nil {
		fmt.Fprintf(env.Stderr, "error: %v\n", err)
		return nil, nil, "", ExitError, false
	}
	defer func() {
		// The parser's only way of ending early is a call that must not return; it is caught here and nowhere else.
		if r := recover(); r != nil {
			e, expected := r.(exited)
			if !expected {
				panic(r)
			}
			run, code, ok = nil, e.code, false
		}
	}()
	kongcompletion.Register(parser)
	kctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(env.Stderr, "error: %v\n", err)
		verb := "narrowcast"
		if wrong := (*kong.ParseError)(nil); errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Selected() != nil {
			verb += " " + wrong.Context.Selected().Path()
		}
		fmt.Fprintf(env.Stderr, "  next  %s --help shows what can be said here\n", strings.ReplaceAll(verb, "narrowcast narrowcast", "narrowcast"))
		return nil, nil, "", ExitUsage, false
	}
	if kctx.Command() == "completion" || strings.HasPrefix(kctx.Command(), "completion ") {
		if err := kctx.Run(); err != nil {
			fmt.Fprintf(env.Stderr, "error: %v\n", err)
			return nil, nil, "", ExitError, false
		}
		return nil, nil, "", ExitOK, false
	}
	target := kctx.Selected().Target
	if !target.CanAddr() {
		return nil, nil, "", ExitError, false
	}
	run, isCommand := target.Addr().Interface().(command)
	if !isCommand {
		fmt.Fprintf(env.Stderr, "error: %s is not a command of its own\n", kctx.Command())
		return nil, nil, "", ExitUsage, false
	}
	return cmds, run, kctx.Command(), ExitOK, true
}

// Main runs one command line and returns the exit code.
func Main(ctx context.Context, env Env, args []string) int {
	if env.Now == nil {
		env.Now = time.Now
	}
	cmds, run, path, code, ok := parse(env, args)
	if !ok {
		return code
	}
	s := &session{env: env, ctx: ctx, opts: cmds, client: env.Client}
	switch err := s.perform(run, path); {
	case err == nil:
		return ExitOK
	case errors.Is(err, errQuiet):
		return ExitError
	default:
		return s.complain(err)
	}
}

// perform runs a command with a connection and a span around it. The services' own commands bring their own, those of keys
// need none.
func (s *session) perform(run command, path string) (err error) {
	switch run.(type) {
	case *upCommand, *migrateCommand, *backupCommand, *restoreCommand, *doctorCommand, *demoCommand, *benchCommand, *versionCommand, *keysCreate, *keysList, *keysAdd, *keysPromote, *keysDisable, *keysEnable, *keysRemove:
		return run.run(s)
	}
	verb, _, _ := strings.Cut(path, " <")
	return s.connected("narrowcast "+verb, func() error { return run.run(s) })
}

// connected does something with a connection to the services and a span of that name around it.
func (s *session) connected(span string, do func() error) (err error) {
	t := s.env.Telemetry
	if t == nil {
		if t, err = telemetry.New(s.ctx, telemetry.Config{Service: "narrowcast-cli", Version: s.env.Version, OTLPEndpoint: s.opts.OTLP}); err != nil {
			return usage("--otlp-endpoint: %v", err)
		}
		defer func() { err = errors.Join(err, s.flush(t)) }()
	}
	if s.client == nil {
		if s.client, err = client.Dial(client.Config{
			Addr: s.opts.Addr, ProfileAddr: s.opts.ProfileAddr, SegmentAddr: s.opts.SegmentAddr, PersonaAddr: s.opts.PersonaAddr,
			CampaignAddr: s.opts.CampaignAddr, Telemetry: t, Logger: slog.New(slog.DiscardHandler),
		}); err != nil {
			return usage("%v", err)
		}
		defer func() { err = errors.Join(err, s.client.Close()) }()
	}
	ctx, sp := t.Tracer("cli").Start(s.ctx, span)
	defer sp.End()
	s.ctx = ctx
	return do()
}

// flush sends the last traces, whatever became of the command's own context.
func (s *session) flush(t *telemetry.Telemetry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 2*time.Second)
	defer cancel()
	if err := t.Shutdown(ctx); err != nil {
		fmt.Fprintf(s.env.Stderr, "warning: the last traces were not sent: %v\n", err)
	}
	return nil
}

// call returns a context for one question, bounded by --timeout.
func (s *session) call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, s.opts.Timeout)
}

type versionCommand struct{}

func (c *versionCommand) run(s *session) error {
	if s.opts.Output == "json" {
		return s.printJSON(map[string]string{"version": s.env.Version})
	}
	return s.print("narrowcast %s\n", s.env.Version)
}
