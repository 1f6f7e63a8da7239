package testkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// sharedPostgres is the one server of this test binary. No test stops it: its watchers end it when the process ends, or when
// their inputs are closed, and so for what is kept here.
var sharedPostgres = sync.OnceValues(startSharedPostgres)

type postgres struct {
	url     string
	cluster *cluster // nil for a server of others
	server  *server

	mu   sync.Mutex
	conn *pgx.Conn // makes and drops databases; nil after a failure
}

// ask runs one statement on a connection that is kept, since making one costs more than most statements.
func (p *postgres) ask(statement string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if p.conn == nil || p.conn.IsClosed() {
		var err error
		if p.conn, err = pgx.Connect(ctx, p.url); err != nil {
			return err
		}
	}
	_, err := p.conn.Exec(ctx, statement)
	return err
}

// peopleOrder asks for a database that sorts text as a dictionary does, where the server can. A program whose keys must compare
// by bytes then fails on the column that forgot to say so, as it would on most real servers, while the order of C would hide it.
const peopleOrder = ` template template0 encoding 'UTF8' locale 'C' locale_provider icu icu_locale 'en'`

// Postgres returns the URL of an empty database of t's own on a real PostgreSQL that all tests of this binary share; its role may
// do everything. The database is dropped when t ends, whoever is still connected. The server keeps nothing across a power cut,
// and is fast for it. Without any provider the test is skipped, or fails if CI=true.
func Postgres(t testing.TB) string {
	t.Helper()
	shared, err := sharedPostgres()
	if err != nil {
		Missing(t, "POSTGRES NOT AVAILABLE: %v", err)
	}
	database := "narrowcast_test_" + StoreID(t)
	if err := makeDatabase(shared.ask, database); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	t.Cleanup(func() {
		if err := shared.ask("drop database if exists " + database + " with (force)"); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return withDatabase(shared.url, database)
}

// PrivatePostgres is a PostgreSQL of one test alone, which may be crashed and started again on the same data. Its URL never
// changes: a relay in this process listens there. It writes through to the disk, so what was committed before a crash is there
// after it. Its methods fail the test on error and are for the test's own goroutine.
type PrivatePostgres struct {
	// URL names an empty database on the server; its role may do everything, ALTER SYSTEM included.
	URL string

	t       testing.TB
	relay   *relay
	cluster *cluster
	server  *server
}

// PostgresPrivate starts a PostgreSQL for t alone and removes it with its data when t ends. A URL in the environment is not used,
// since what others use must not be stopped. Without a provider the test is skipped, or fails if CI=true.
func PostgresPrivate(t testing.TB) *PrivatePostgres {
	t.Helper()
	relay, err := newRelay()
	if err != nil {
		t.Fatalf("listen for a private postgres: %v", err)
	}
	p := &PrivatePostgres{t: t, relay: relay}
	t.Cleanup(func() {
		relay.close()
		if err := p.remove(); err != nil {
			t.Errorf("stop private postgres: %v", err)
		}
	})
	if p.cluster, err = newCluster(true); err != nil {
		Missing(t, "POSTGRES NOT AVAILABLE: %v", err)
	}
	p.Start()
	const database = "narrowcast"
	p.URL = withDatabase(serverURL(relay.addr()), database)
	ask := func(statement string) error { return askPostgres(p.server.url(), statement) }
	if err := makeDatabase(ask, database); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	return p
}

// Stop kills the server and all its processes at once (SIGKILL): connections are cut, new ones are closed at once, and what was
// not committed is lost. Stopping a stopped server does nothing.
func (p *PrivatePostgres) Stop() {
	p.t.Helper()
	if p.server == nil {
		return
	}
	p.relay.target("")
	err := p.server.end(crash)
	p.server = nil
	if err != nil {
		p.t.Fatalf("stop private postgres: %v", err)
	}
}

// Start starts the server on the data it had and returns once it has recovered. Starting a running server does nothing.
func (p *PrivatePostgres) Start() {
	p.t.Helper()
	if p.server != nil {
		return
	}
	s, err := p.cluster.start()
	if err != nil {
		p.t.Fatalf("start private postgres: %v", err)
	}
	p.server = s
	p.relay.target(s.addr)
}

// Cut breaks every open connection while the server keeps running.
func (p *PrivatePostgres) Cut() { p.relay.cut() }

func (p *PrivatePostgres) remove() error {
	var errs []error
	if p.server != nil {
		errs = append(errs, p.server.end(quit))
	}
	if p.cluster != nil {
		errs = append(errs, p.cluster.remove())
	}
	return errors.Join(errs...)
}

// startSharedPostgres takes the server that the environment names, or starts one that trades safety for speed.
func startSharedPostgres() (*postgres, error) {
	only := os.Getenv("NARROWCAST_TEST_POSTGRES_PROVIDER")
	if only != "" && only != "env" && only != "binary" {
		return nil, fmt.Errorf("NARROWCAST_TEST_POSTGRES_PROVIDER=%q is none of env, binary", only)
	}
	given := os.Getenv("NARROWCAST_TEST_POSTGRES")
	if given != "" && only != "binary" {
		if err := askPostgres(given, "select 1"); err != nil {
			return nil, fmt.Errorf("ask the server at NARROWCAST_TEST_POSTGRES: %w", err)
		}
		return &postgres{url: given}, nil
	}
	if only == "env" {
		return nil, errors.New("env: NARROWCAST_TEST_POSTGRES is not set")
	}
	c, err := newCluster(false)
	if err != nil {
		return nil, err
	}
	s, err := c.start()
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return &postgres{url: s.url(), cluster: c, server: s}, nil
}

// makeDatabase creates a database that sorts as a dictionary does, or as the server does where it cannot (before version 15, or
// built without ICU).
func makeDatabase(ask func(statement string) error, database string) error {
	first := ask("create database " + database + peopleOrder)
	if first == nil {
		return nil
	}
	if err := ask("create database " + database + " template template0 encoding 'UTF8'"); err != nil {
		return errors.Join(first, err)
	}
	return nil
}

// askPostgres runs one statement on a connection of its own.
func askPostgres(server, statement string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// serverURL is the URL of the server at host:port, to which everybody on this machine may connect.
func serverURL(addr string) string {
	return "postgres://postgres@" + addr + "/postgres?sslmode=disable"
}

// withDatabase returns the URL of another database on the same server.
func withDatabase(server, database string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server // it was connected to before, so it is a URL
	}
	u.Path = "/" + database
	return u.String()
}
