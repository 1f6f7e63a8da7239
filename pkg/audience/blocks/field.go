package blocks

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// Limits of what is decoded; what is beyond them is refused before memory is taken for it.
const (
	maxFieldBytes = 4096
	maxFields     = 1 << 20
	maxStoreBytes = 64
)

// ChunkSize is the number of uids in one part of a block's dictionary.
const ChunkSize = 4096

// Chunks is the number of parts of a block's dictionary.
const Chunks = audience.BlockSize / ChunkSize

// UIDField names part n (0 to Chunks-1) of a block's uid dictionary: the uids of ordinals n*ChunkSize and on.
func UIDField(n int) audience.Field { return audience.Field("u/" + strconv.Itoa(n)) }

// Checksum returns the checksum of a field's encoded bytes. The field's name is bound in, so that a value under another name
// never passes.
func Checksum(field audience.Field, data []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	var n [4]byte
	binary.LittleEndian.PutUint32(n[:], uint32(len(field)))
	d.Write(n[:]) //nolint:errcheck // a digest never fails
	d.WriteString(string(field))
	d.Write(data) //nolint:errcheck // a digest never fails
	return d.Sum64()
}

// explicit reports whether a field is listed in the directory even when it is empty, so that its absence means unknown.
func explicit(f audience.Field) bool {
	return f == audience.FieldLive || strings.HasPrefix(string(f), "s/")
}

func isColumn(f audience.Field) bool { return strings.HasPrefix(string(f), "c/") }

func isChunk(f audience.Field) bool { return strings.HasPrefix(string(f), "u/") }

// customAttribute returns the name of the declared attribute whose row or column this is, or "" for built-in ones and fields
// of no attribute. False: not a field that this program knows.
func customAttribute(f audience.Field) (string, bool) {
	if isChunk(f) {
		return "", true
	}
	p, ok := audience.ParseField(f)
	if !ok || !strings.HasPrefix(p.Attr, audience.AttrCustomPrefix) {
		return "", ok
	}
	return p.Attr, true
}
