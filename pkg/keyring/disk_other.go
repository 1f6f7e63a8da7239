//go:build !unix

package keyring

import (
	"io/fs"
	"os"
)

// adopt does nothing where a file has no owner that could be handed on.
func adopt(*os.File, fs.FileInfo) error { return nil }

// settle does nothing where a folder cannot be asked to make its names durable.
func settle(string) error { return nil }
