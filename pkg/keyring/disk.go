package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// privateMode is the mode of a new key file: its owner reads and writes it, nobody else does either.
const privateMode fs.FileMode = 0o600

// Read reads a key file. The warning is not empty where others than its owner may read it, which is how secrets are mounted on
// Kubernetes and is a mistake elsewhere. Faults: KEYS_MISSING, KEYS_UNREADABLE, KEYS_BROKEN.
func Read(path string) (k Keys, warning string, err error) {
	raw, mode, err := load(path)
	if err != nil {
		return Keys{}, "", err
	}
	if k, err = parseFile(path, raw); err != nil {
		return Keys{}, "", err
	}
	return k, exposed(path, mode), nil
}

// parseFile is Parse with the file's name in the fault.
func parseFile(path string, raw []byte) (Keys, error) {
	k, err := Parse(raw)
	if f := fault.As(err); f != nil {
		return Keys{}, f.With("file", path)
	}
	return k, err
}

func exposed(path string, mode fs.FileMode) string {
	if mode&0o077 == 0 {
		return ""
	}
	return fmt.Sprintf("key file %s has mode %04o: others than its owner may read or change it; chmod 600 it, unless it is mounted for this program alone", path, mode)
}

// load reads the bytes of a key file, no more than one may have, and its permissions.
func load(path string) (raw []byte, mode fs.FileMode, err error) {
	fail := func(err error) ([]byte, fs.FileMode, error) {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, 0, fault.Newf(fault.NotFound, ReasonMissing, "there is no key file %s; restore it, or make one with keys create where nothing is stored yet", path).
				With("file", path).Wrap(err)
		}
		return nil, 0, fault.Newf(fault.Precondition, ReasonUnreadable, "key file %s cannot be read; see to its owner and mode", path).With("file", path).Wrap(err)
	}
	f, err := os.Open(path)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	if raw, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err != nil {
		return fail(err)
	}
	return raw, info.Mode().Perm(), nil
}

// Create writes a new key file with mode 0600. One that is there already is left alone (Exists, KEYS_EXIST), also if it appears
// at the same moment. Other faults: KEYS_UNWRITABLE.
func Create(path string, k Keys) error {
	raw, err := k.checked()
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.new")
	if err != nil {
		return unwritable(path, err)
	}
	err = fill(temp, raw, privateMode)
	if err == nil {
		// A link, other than a rename, fails where the name is taken.
		err = os.Link(temp.Name(), path)
	}
	err = errors.Join(err, os.Remove(temp.Name()))
	switch {
	case errors.Is(err, fs.ErrExist):
		return fault.Newf(fault.Exists, ReasonExist, "there is a file %s already, and it is not overwritten: what is sealed with lost keys is lost", path).
			With("file", path).Wrap(err)
	case err != nil:
		return unwritable(path, err)
	}
	return settle(path)
}

// Update reads a key file, changes the keys and replaces the file at one stroke; mode and owner stay. It returns the changed
// keys. The file is unchanged on any error but one after the replacement. The new content is written beside it under its name
// with ".new", which also keeps a second Update out (Conflict, KEYS_BUSY). Other faults: those of [Read] and of change,
// KEYS_UNWRITABLE.
func Update(path string, change func(Keys) (Keys, error)) (Keys, error) {
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		file = path // reading it will tell
	}
	if _, _, err := Read(file); err != nil { // before anything is written beside it
		return Keys{}, err
	}
	next := file + ".new"
	temp, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, privateMode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return Keys{}, fault.Newf(fault.Conflict, ReasonBusy, "%s is being changed; try again, or delete %s if a change was broken off", path, next).
			With("file", path).With("new", next).Wrap(err)
	case err != nil:
		return Keys{}, unwritable(path, err)
	}
	k, err := replace(file, temp, change)
	if err != nil {
		// Closed or not, replaced or not: what is left of the new file must not keep the next change out.
		_ = temp.Close()
		if gone := os.Remove(next); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return Keys{}, err
	}
	return k, settle(file)
}

// replace does an Update whose new file is temp, which this process alone has.
func replace(path string, temp *os.File, change func(Keys) (Keys, error)) (Keys, error) {
	k, _, err := Read(path) // again: only now can nobody else change it
	if err != nil {
		return Keys{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Keys{}, unwritable(path, err)
	}
	if k, err = change(k); err != nil {
		return Keys{}, err
	}
	raw, err := k.checked()
	if err != nil {
		return Keys{}, err
	}
	if err := adopt(temp, info); err != nil {
		return Keys{}, unwritable(path, err)
	}
	if err := fill(temp, raw, info.Mode().Perm()); err != nil {
		return Keys{}, unwritable(path, err)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return Keys{}, unwritable(path, err)
	}
	return k, nil
}

// checked is Marshal, refused if it would not be read back.
func (k Keys) checked() ([]byte, error) {
	raw, err := k.Marshal()
	if err != nil {
		return nil, err
	}
	again, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	if raw2, err := again.Marshal(); err != nil || !bytes.Equal(raw, raw2) {
		return nil, broken("", "would not be read back as it was written")
	}
	return raw, nil
}

// fill writes a file, makes it durable and closes it.
func fill(f *os.File, raw []byte, mode fs.FileMode) error {
	_, err := f.Write(raw)
	// Said again after it was made: the process's mask may have taken bits away.
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

func unwritable(path string, err error) error {
	return fault.Newf(fault.Precondition, ReasonUnwritable, "key file %s cannot be written; see to its folder, its owner and the space on its disk", path).
		With("file", path).Wrap(err)
}
