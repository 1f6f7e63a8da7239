package suite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
)

// Reasons of faults about backups.
const (
	ReasonBackupDamaged = "BACKUP_DAMAGED" // DataLoss: a file of the backup is not what its manifest says, or not there
	ReasonBackupExists  = "BACKUP_EXISTS"  // Exists: the folder holds something already
	ReasonNoBackup      = "NO_BACKUP"      // NotFound: the folder has no manifest, or nothing of a service
)

const (
	manifestFile   = "manifest.json"
	manifestFormat = 1
)

// Manifest says what a backup holds. It is written last: a folder without one is not a whole backup.
type Manifest struct {
	Format  int       `json:"format"`
	Program string    `json:"program"`
	Time    time.Time `json:"time"`
	// Keys reminds of what is not in it.
	Keys  string       `json:"keys"`
	Files []BackupFile `json:"files"`
}

// BackupFile is the copy of one service's store.
type BackupFile struct {
	Service string `json:"service"`
	File    string `json:"file"`
	// Schema is the version of the store's schema, Incarnation the life that the store was in, where it has such a thing.
	Schema      int64  `json:"schema_version"`
	Incarnation string `json:"incarnation,omitempty"`
	Tables      int    `json:"tables"`
	Rows        int64  `json:"rows"`
	Bytes       int64  `json:"bytes"`
	SHA256      string `json:"sha256"`
}

const keysApart = "No key is in this backup. Names and identifiers are sealed in it: without the key file of the profile service, kept apart, they are lost."

// Backup writes the stores of the targets into a folder that is empty or not there yet, one file for each service and a manifest, while
// the services may run. Each file is of one moment. A store is copied before those that it refers to, so what a copy refers to is in the
// others, unless it was deleted in between. What is in the files is in clear, save contact data, which stays sealed.
func Backup(ctx context.Context, cfg Config, folder string, log *slog.Logger, now func() time.Time) (Manifest, error) {
	m := Manifest{Format: manifestFormat, Program: cfg.Version, Time: now().UTC().Truncate(time.Second), Keys: keysApart}
	if err := cfg.validateStores(); err != nil {
		return m, err
	}
	rows, err := cfg.rows()
	if err != nil {
		return m, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return m, fmt.Errorf("make the folder: %w", err)
	}
	if held, err := os.ReadDir(folder); err != nil || len(held) > 0 {
		if err != nil {
			return m, fmt.Errorf("read the folder: %w", err)
		}
		return m, fault.New(fault.Exists, ReasonBackupExists, "the folder is not empty; give each backup a folder of its own")
	}
	for _, t := range slices.Backward(rows) {
		f := BackupFile{Service: t.name, File: t.name + ".ncb"}
		sum := sha256.New()
		err := writeFile(filepath.Join(folder, f.File), func(w io.Writer) error {
			count := &counter{w: io.MultiWriter(w, sum)}
			info, err := t.backup(ctx, &cfg, log, count)
			f.Schema, f.Incarnation, f.Tables, f.Rows, f.Bytes = info.Schema, info.Incarnation, info.Tables, info.Rows, count.n
			return err
		})
		if err != nil {
			return m, fmt.Errorf("%s: %w", t.name, err)
		}
		f.SHA256 = hex.EncodeToString(sum.Sum(nil))
		m.Files = append(m.Files, f)
		log.InfoContext(ctx, "store backed up", "service", f.Service, "rows", f.Rows, "bytes", f.Bytes)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, fmt.Errorf("write the manifest: %w", err)
	}
	return m, writeFile(filepath.Join(folder, manifestFile), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

type counter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// writeFile writes a file that only its owner can read; under its name it is whole and on the disk.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make a file: %w", err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path+".part"))
	}
	return os.Rename(path+".part", path)
}

// Restore fills the empty stores of the targets from a backup. Everything that can be checked is checked before the first store is
// filled: the files against the manifest, that the stores are empty, that there is a key file. Each store is then filled in one
// transaction, in which the profile store proves that the keys open its data. The profile and the segment store begin a new life, so
// cursors and tokens that were given out before are refused and the index is built anew. No service may run on the stores.
func Restore(ctx context.Context, cfg Config, folder string, log *slog.Logger) (Manifest, error) {
	if err := cfg.validateStores(); err != nil {
		return Manifest{}, err
	}
	rows, err := cfg.rows()
	if err != nil {
		return Manifest{}, err
	}
	m, err := readManifest(folder)
	if err != nil {
		return m, err
	}
	files := make(map[string]BackupFile, len(m.Files))
	for _, f := range m.Files {
		files[f.Service] = f
	}
	for _, t := range rows {
		f, there := files[t.name]
		if !there {
			return m, fault.Newf(fault.NotFound, ReasonNoBackup, "the backup has nothing of the %s service; name the others with --target", t.name).With("service", t.name)
		}
		if err := f.verify(folder); err != nil {
			return m, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	for _, t := range rows {
		if err := cfg.makeFolder(t); err != nil {
			return m, err
		}
		if err := t.canRestore(ctx, &cfg, log); err != nil {
			return m, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	for _, t := range rows {
		if err := restoreFile(ctx, &cfg, t, files[t.name], folder, log); err != nil {
			return m, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	m.Files = slices.DeleteFunc(m.Files, func(f BackupFile) bool {
		return !slices.ContainsFunc(rows, func(t target) bool { return t.name == f.Service })
	})
	return m, nil
}

func restoreFile(ctx context.Context, cfg *Config, t target, f BackupFile, folder string, log *slog.Logger) (err error) {
	in, err := f.open(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	info, err := t.restore(ctx, cfg, log, in)
	if err == nil {
		log.InfoContext(ctx, "store restored", "service", t.name, "rows", info.Rows)
	}
	return err
}

// maxManifest is far more than any manifest has.
const maxManifest = 1 << 20

func readManifest(folder string) (m Manifest, err error) {
	f, err := os.Open(filepath.Join(folder, manifestFile))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fault.New(fault.NotFound, ReasonNoBackup, "the folder has no manifest.json: it is no backup, or one that was not finished")
		}
		return m, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return m, fmt.Errorf("read the manifest: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || m.Format != manifestFormat {
		return m, damaged("the manifest cannot be read by this program", manifestFile)
	}
	for _, f := range m.Files {
		if f.File != filepath.Base(f.File) || !slices.Contains(Targets(), f.Service) {
			return m, damaged("the manifest names a file that no backup has", manifestFile)
		}
	}
	return m, nil
}

func damaged(what, file string) error {
	return fault.Newf(fault.DataLoss, ReasonBackupDamaged, "%s (%s); nothing was restored, take another copy of the backup", what, file).With("file", file)
}

func (f BackupFile) open(folder string) (*os.File, error) {
	in, err := os.Open(filepath.Join(folder, f.File))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged("a file of the backup is not there", f.File)
	}
	return in, err
}

// verify reads the whole file.
func (f BackupFile) verify(folder string) (err error) {
	in, err := f.open(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	sum := sha256.New()
	read := io.TeeReader(in, sum)
	info, err := sqldb.VerifyDump(read)
	if fault.KindOf(err) == fault.DataLoss {
		return damaged("a file of the backup is damaged or cut short", f.File)
	}
	if err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 || info.Schema != f.Schema || info.Rows != f.Rows {
		return damaged("a file is not the one that the manifest names", f.File)
	}
	return nil
}
