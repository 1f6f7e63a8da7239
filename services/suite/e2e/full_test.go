package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/narrowcast/narrowcast/pkg/config"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/pkg/testkit"
	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"
	"github.com/narrowcast/narrowcast/services/suite/e2e/worldtest"
)

// disk is a small file system of a test's own, and a file in it that leaves no room.
type disk struct {
	t      *testing.T
	dir    string
	filler string
}

// smallDisk mounts a file system in memory of so many MiB. Where this process may not mount, the test is skipped, loudly, or fails if
// CI=true.
func smallDisk(t *testing.T, mebibytes int) *disk {
	t.Helper()
	folder := t.TempDir()
	check(t, os.Chmod(filepath.Dir(folder), 0o755)) // PostgreSQL comes as somebody else
	dir := filepath.Join(folder, "disk")
	check(t, os.Mkdir(dir, 0o755))
	if err := mountMemory(dir, mebibytes); err != nil {
		testkit.Missing(t, "SMALL DISK NOT AVAILABLE: %v; run as root", err)
	}
	t.Cleanup(func() { check(t, unmount(dir)) })
	return &disk{t: t, dir: dir, filler: filepath.Join(dir, "filler")}
}

// fill writes zeros until so many KiB are left.
func (d *disk) fill(left int) {
	d.t.Helper()
	room, err := roomOn(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	room -= int64(left) << 10
	if room <= 0 {
		d.t.Fatalf("the disk has less than %d KiB left already", left)
	}
	f, err := os.Create(d.filler)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err = f.Write(make([]byte, room)); !errors.Is(err, syscall.ENOSPC) { // the writers took the room first
		check(d.t, err)
	}
	check(d.t, f.Close())
}

func (d *disk) makeRoom() { check(d.t, os.Remove(d.filler)) }

// fullDisk takes the room away while all write, waits until writes are refused for it, reads, makes room and has everybody go on.
func (d *ordeal) fullDisk(small *disk, left int) {
	d.t.Helper()
	d.harm.Store(diskHarm)
	before := d.full.Load()
	small.fill(left)
	for end := time.Now().Add(patience); d.full.Load() < before+10; {
		if time.Now().After(end) {
			d.t.Fatalf("the disk is full, and %d writes were refused for it", d.full.Load()-before)
		}
		worldtest.Pause(d.ctx, 5*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(d.ctx, callBound)
	defer cancel()
	for range 20 {
		if _, err := d.profiles.ListProfiles(ctx, &profilev1.ListProfilesRequest{PageSize: 10}); err != nil {
			d.t.Errorf("list profiles while the disk is full: %v", err)
		}
		if _, err := d.profiles.GetHead(ctx, &profilev1.GetHeadRequest{}); err != nil {
			d.t.Errorf("get head while the disk is full: %v", err)
		}
	}
	small.makeRoom()
	before, process := d.full.Load(), d.p
	d.settled()
	if d.p != process || d.p.hasEnded() {
		d.t.Error("the service had to be started again")
	}
	d.t.Logf("%d writes were refused, the last %d while room was made", d.full.Load(), d.full.Load()-before)
}

// A full disk under a SQLite file: writes are refused as STORE_FULL, reads and watches go on, and once there is room so do writes.
func TestAFullDiskUnderAFileLosesNothing(t *testing.T) {
	t.Parallel()
	small := smallDisk(t, 64)
	d := newOrdeal(t, nil, small.dir)
	d.everyone()
	for range 2 {
		d.moment(500 * time.Millisecond)
		d.fullDisk(small, 200)
	}
	d.finish()
}

// A full disk under the tables of PostgreSQL, whose log has a disk of its own, is the same.
func TestAFullDiskUnderTheTablesOfPostgresLosesNothing(t *testing.T) {
	t.Parallel()
	small := smallDisk(t, 96)
	pg := testkit.PostgresPrivate(t)
	folder := filepath.Join(small.dir, "tables")
	check(t, os.Mkdir(folder, 0o700))
	own(t, folder, postgresFolder(t, pg))
	statements(t, pg.URL, "create tablespace small location '"+folder+"'")
	address, err := url.Parse(pg.URL)
	if err != nil {
		t.Fatal(err)
	}
	// The database itself cannot move while somebody is connected to it, so its tables are told where to be made.
	statements(t, pg.URL, "alter database "+path.Base(address.Path)+" set default_tablespace = 'small'")
	d := newOrdeal(t, pg, t.TempDir())
	d.everyone()
	for range 2 {
		d.moment(500 * time.Millisecond)
		d.fullDisk(small, 64)
	}
	d.finish()
}

// A full disk under the log of PostgreSQL makes the server panic: it is down until there is room and it is started again. The service
// says so meanwhile and recovers by itself.
func TestAFullDiskUnderTheLogOfPostgresLosesNothing(t *testing.T) {
	t.Parallel()
	small := smallDisk(t, 160)
	pg := testkit.PostgresPrivate(t)
	data := postgresFolder(t, pg)
	statements(t, pg.URL, "alter system set max_wal_size = '48MB'",
		"select pg_create_physical_replication_slot('held', true)") // nothing of the log is used again
	pg.Stop()
	from, to := filepath.Join(data, "pg_wal"), filepath.Join(small.dir, "pg_wal")
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copy the log: %v: %s", err, out)
	}
	check(t, os.RemoveAll(from))
	check(t, os.Symlink(to, from))
	pg.Start()
	d := newOrdeal(t, pg, t.TempDir())
	d.everyone()
	d.harm.Store(storeHarm | diskHarm)
	small.fill(0)
	// Each switch ends a segment of 16 MiB early, and the next one does not find room.
	for end := time.Now().Add(patience); ; {
		if err := statement(pg.URL, "select pg_switch_wal()"); err != nil {
			t.Logf("the server: %v", err)
			break
		}
		if time.Now().After(end) {
			t.Fatal("the server goes on without room for its log")
		}
		worldtest.Pause(d.ctx, 20*time.Millisecond)
	}
	before := d.refused.Load() + d.unknown.Load()
	for end := time.Now().Add(patience); d.refused.Load()+d.unknown.Load() < before+10; {
		if time.Now().After(end) {
			t.Fatal("the server is down, and nobody was told")
		}
		worldtest.Pause(d.ctx, 5*time.Millisecond)
	}
	pg.Stop()
	small.makeRoom()
	pg.Start()
	statements(t, pg.URL, "select pg_drop_replication_slot('held')")
	d.settled()
	d.finish()
}

// postgresFolder is the data folder of a server.
func postgresFolder(t *testing.T, pg *testkit.PrivatePostgres) string {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: config.NewSecret(pg.URL)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { check(t, db.Close()) }()
	var folder string
	if err := db.Read.QueryRowContext(t.Context(), "show data_directory").Scan(&folder); err != nil {
		t.Fatal(err)
	}
	return folder
}

func statement(server, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), callBound)
	defer cancel()
	db, err := sqldb.Open(ctx, sqldb.Config{URL: config.NewSecret(server)})
	if err != nil {
		return err
	}
	_, err = db.Write.ExecContext(ctx, text)
	return errors.Join(err, db.Close())
}

func statements(t *testing.T, server string, list ...string) {
	t.Helper()
	for _, text := range list {
		if err := statement(server, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// own gives a folder to whom another one belongs.
func own(t *testing.T, folder, like string) {
	t.Helper()
	if out, err := exec.Command("chown", "--reference="+like, folder).CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("give the folder away: %w: %s", err, out))
	}
}
