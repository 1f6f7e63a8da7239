package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/narrowcast/narrowcast/pkg/config"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	campaign "github.com/narrowcast/narrowcast/services/campaign/server"
	"github.com/narrowcast/narrowcast/services/suite/internal/upload"
)

// coldRounds is how many cold readers are made.
const coldRounds = 5

// cold opens further campaign services on the same blocks and asks each its first Q1, once it has heard of the manifest.
func (w *world) cold(ctx context.Context) (*op, error) {
	o := &op{name: nameCold, path: PathInside, about: "Q1, first question of a new reader that has the manifest"}
	for i := range min(coldRounds, w.opts.Rounds) {
		if err := w.coldReader(ctx, o, i); err != nil {
			return nil, fmt.Errorf("a cold reader: %w", err)
		}
	}
	return o, nil
}

func (w *world) coldReader(ctx context.Context, o *op, i int) (err error) {
	cfg := campaign.Default()
	cfg.Path, cfg.Memory = filepath.Join(w.dir, "cold-"+strconv.Itoa(i)+".db"), config.Bytes(w.opts.readerBytes())
	local := w.suite.Local()
	reader, err := campaign.New(ctx, cfg, campaign.Deps{Logger: w.opts.Logger, Now: w.opts.Now, Segments: local, Profiles: local, Blocks: w.blocks})
	if err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- reader.Run(following) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended, reader.Close())
	}()
	var inside handlers
	reader.Register(&inside)
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for reader.Ready(waiting) != nil {
		if err := upload.Pause(waiting, time.Millisecond); err != nil {
			return err
		}
	}
	o.do = counting(nameCold, o.about, PathInside, nameQ1, q1, inside.audiences.CountAudience).do
	return w.take(ctx, o, true)
}

// restart ends the suite and takes the time from the start of a new one to its first exact answer.
func (w *world) restart(ctx context.Context) (*op, error) {
	if err := w.halt(); err != nil {
		return nil, fmt.Errorf("stop the suite: %w", err)
	}
	collect()
	o := &op{name: nameRestart, path: PathGRPC, about: "start on what the stores hold, to the first exact Q1", note: "after a clean stop"}
	o.do = func(ctx context.Context) (check, error) {
		if err := w.start(ctx); err != nil {
			return nil, err
		}
		return firstExact(ctx, w.audiences)
	}
	return o, w.take(ctx, o, true)
}

// firstExact asks Q1, as of the newest position, until there is an answer.
func firstExact(ctx context.Context, audiences campaignv1.AudienceServiceClient) (check, error) {
	for {
		res, err := audiences.CountAudience(ctx, &campaignv1.CountAudienceRequest{Audience: q1.ref(), Consistency: fully})
		if err == nil {
			return func(t *truth) (int64, bool) { return res.GetCount(), res.GetCount() == t.total(nameQ1) }, nil
		}
		if !passing(err) {
			return nil, err
		}
		if err := upload.Pause(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// crash runs the services in a process of their own, kills it, and takes the time from the start of the next one to its first exact
// answer. The suite of this process is ended before.
func (w *world) crash(ctx context.Context) (o *op, err error) {
	if w.running != nil {
		if err := w.halt(); err != nil {
			return nil, fmt.Errorf("stop the suite: %w", err)
		}
	}
	collect()
	first, err := w.spawned(ctx, "first")
	if err != nil {
		return nil, err
	}
	_, err = firstExact(ctx, first.audiences)
	if err = errors.Join(err, first.kill()); err != nil {
		return nil, err
	}
	o = &op{name: nameCrash, path: PathGRPC, about: "the same after kill -9 of a process of its own", note: "with the start of the process"}
	var second *process
	o.do = func(ctx context.Context) (check, error) {
		if second, err = w.spawned(ctx, "second"); err != nil {
			return nil, err
		}
		return firstExact(ctx, second.audiences)
	}
	err = w.take(ctx, o, true)
	if second != nil {
		err = errors.Join(err, second.kill())
	}
	return o, err
}

// process is the program, running apart.
type process struct {
	child io.Closer
	conn  *grpc.ClientConn
	services
}

func (p *process) kill() error {
	if p.conn == nil {
		return p.child.Close()
	}
	return errors.Join(p.conn.Close(), p.child.Close())
}

// spawned starts the program on the stores, and returns when it says on which port it listens.
func (w *world) spawned(ctx context.Context, name string) (*process, error) {
	log := filepath.Join(w.dir, "process-"+name+".log")
	if err := os.Remove(log); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove an old log: %w", err)
	}
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "NARROWCAST_") { // what is measured is what this run says
			env = append(env, e)
		}
	}
	env = append(env, "NARROWCAST_DATABASE="+w.database.Reveal(), "NARROWCAST_REDIS="+w.redis.Reveal(), childMark+"=1")
	child, err := startProgram(w.dir, log, env, w.opts.Program, "up", "--listen", "127.0.0.1:0", "--ops-listen", "none", "--data-dir", w.dir,
		"--log-format", "json", "--time-zone", "UTC", "--currency", currency, "--campaign-memory", strconv.FormatInt(w.opts.readerBytes(), 10)+"B")
	if err != nil {
		return nil, err
	}
	p := &process{child: child}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		addr, ended, err := listensOn(log)
		if err == nil && addr != "" {
			if p.conn, err = dial(addr); err == nil {
				p.services = servicesOn(p.conn)
				return p, nil
			}
		}
		if err == nil && ended {
			err = errors.New("the program ended; its log is in " + log)
		}
		if err == nil {
			err = upload.Pause(waiting, time.Millisecond)
		}
		if err != nil {
			return nil, errors.Join(err, p.kill())
		}
	}
}

// childMark is set in the environment of the program that is started: a test binary then knows that it has to be the program.
const childMark = "BENCH_CHILD"

// listensOn reads a log of the program for the address on which it serves, or for its end.
func listensOn(log string) (addr string, ended bool, err error) {
	text, err := os.ReadFile(log)
	if err != nil {
		return "", false, fmt.Errorf("read the log of the program: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		var said struct{ Msg, Protocol, Address string }
		if json.Unmarshal([]byte(line), &said) != nil {
			ended = ended || strings.HasPrefix(line, "error: ")
			continue
		}
		if said.Msg == "serving" && said.Protocol == "grpc" {
			return said.Address, false, nil
		}
	}
	return "", ended, nil
}
