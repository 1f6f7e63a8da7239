//go:build unix

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/testkit/localpostgres"
	"github.com/narrowcast/narrowcast/services/suite/internal/upload"
)

// servers are PostgreSQL and Redis of this run's own. They listen on sockets in a folder, on no port.
type servers struct {
	database, redis string // addresses; "": not started
	postgresData    string
	sockets         string
	children        []*child
}

// child is a server behind a shell that ends it when this process does, whatever ends it.
type child struct {
	cmd *exec.Cmd
	in  io.Closer
}

// watch ends its child by the signal it is told when its input, which this process holds, ends.
const watch = `sig=$1; shift; "$@" </dev/null & p=$!; cat >/dev/null; kill -$sig $p 2>/dev/null; wait $p 2>/dev/null; exit 0`

func spawn(as *syscall.Credential, env []string, dir, log, signal string, args ...string) (*child, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", watch, "sh", signal}, args...)...)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true} // an interrupt at the terminal is not for it
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a server's log: %w", err)
	}
	cmd.Stdout, cmd.Stderr = file, file
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	return &child{cmd, in}, nil
}

// Close ends the child and waits for it.
func (c *child) Close() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }

// startProgram starts a program whose Close is kill -9.
func startProgram(dir, log string, env []string, args ...string) (io.Closer, error) {
	return spawn(nil, env, dir, log, "KILL", args...)
}

// startServers starts those that are wanted. PostgreSQL's data are in dir, where a later run finds them; Redis keeps nothing.
func startServers(ctx context.Context, dir string, wantPostgres, wantRedis bool) (s *servers, err error) {
	s = &servers{}
	// The path of a socket is short, so they are not in dir.
	if s.sockets, err = os.MkdirTemp("", "ncb-"); err != nil {
		return nil, fmt.Errorf("make a folder for sockets: %w", err)
	}
	if wantPostgres {
		err = s.startPostgres(ctx, dir)
	}
	if err == nil && wantRedis {
		err = s.startRedis(ctx, dir)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *servers) close() error {
	var errs []error
	for _, c := range slices.Backward(s.children) {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.sockets))...)
}

func (s *servers) startPostgres(ctx context.Context, dir string) error {
	bin, err := localpostgres.Programs()
	if err != nil {
		return fault.New(fault.Precondition, ReasonNoServer, "there is no postgres; install it, or give --database").Wrap(err)
	}
	as, err := localpostgres.Unprivileged()
	if err != nil {
		return fault.New(fault.Precondition, ReasonNoServer, "postgres does not run as root, and there is no user to run it as; give --database").Wrap(err)
	}
	if as != nil {
		if err := errors.Join(os.Chmod(s.sockets, 0o711), os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(s.sockets, "p"), 0o700),
			os.Chown(filepath.Join(s.sockets, "p"), int(as.Uid), int(as.Gid))); err != nil {
			return fmt.Errorf("prepare the folder of postgres: %w", err)
		}
	} else if err := os.Mkdir(filepath.Join(s.sockets, "p"), 0o700); err != nil {
		return fmt.Errorf("prepare the folder of postgres: %w", err)
	}
	socket := filepath.Join(s.sockets, "p")
	s.postgresData = filepath.Join(dir, "postgres")
	if _, err := os.Stat(filepath.Join(s.postgresData, "PG_VERSION")); err != nil {
		if err := os.MkdirAll(s.postgresData, 0o700); err != nil {
			return fmt.Errorf("make the folder of postgres: %w", err)
		}
		if as != nil {
			if err := os.Chown(s.postgresData, int(as.Uid), int(as.Gid)); err != nil {
				return fmt.Errorf("give away the folder of postgres: %w", err)
			}
		}
		cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", s.postgresData, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions")
		cmd.Dir, cmd.SysProcAttr = s.postgresData, &syscall.SysProcAttr{Credential: as}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, fs.ErrPermission) {
			return fault.New(fault.Precondition, ReasonNoServer,
				"the user that postgres runs as may not enter the folder; name one that everybody may enter, or give --database").Wrap(err)
		}
		if err != nil {
			return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
		}
	}
	c, err := spawn(as, nil, s.postgresData, filepath.Join(dir, "postgres.log"), "INT", filepath.Join(bin, "postgres"), "-D", s.postgresData, "-k", socket, "-h", "",
		"-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB", "-c", "max_connections=100")
	if err != nil {
		return err
	}
	s.children = append(s.children, c)
	s.database = "postgres:///postgres?user=postgres&sslmode=disable&host=" + url.QueryEscape(socket)
	return until(ctx, func() error {
		out, err := exec.CommandContext(ctx, filepath.Join(bin, "pg_isready"), "-h", socket, "-q").CombinedOutput()
		if err != nil {
			return fmt.Errorf("wait for postgres: %w: %s", err, out)
		}
		return nil
	})
}

func (s *servers) startRedis(ctx context.Context, dir string) error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return fault.New(fault.Precondition, ReasonNoServer, "there is no redis-server; install it, or give --redis").Wrap(err)
	}
	socket := filepath.Join(s.sockets, "redis.sock")
	c, err := spawn(nil, nil, dir, filepath.Join(dir, "redis.log"), "KILL", path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", s.sockets)
	if err != nil {
		return err
	}
	s.children = append(s.children, c)
	s.redis = "unix://" + socket
	if err := until(ctx, func() error { _, err := os.Stat(socket); return err }); err != nil { // the client would complain aloud
		return fmt.Errorf("wait for redis: %w", err)
	}
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	return errors.Join(until(ctx, func() error { return client.Ping(ctx).Err() }), client.Close())
}

// until asks until there is no error, for half a minute at most.
func until(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if upload.Pause(ctx, 20*time.Millisecond) != nil {
			return err
		}
	}
}
