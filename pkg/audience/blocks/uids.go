package blocks

import (
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/audience"
)

// EncodeUIDs returns a dictionary part's bytes and how many of its uids are not blank. The uids are those of at most ChunkSize
// consecutive ordinals; a blank (zero) one belongs to nobody. Blank ones at the end are not written; a part without uids has
// no bytes.
func EncodeUIDs(uids []audience.UID) (data []byte, cardinality int, err error) {
	if len(uids) > ChunkSize {
		return nil, 0, fmt.Errorf("encode uids: %d uids in a part of %d", len(uids), ChunkSize)
	}
	end := 0
	for i := range uids {
		if uids[i] != (audience.UID{}) {
			end = i + 1
			cardinality++
		}
	}
	for i := range uids[:end] {
		data = append(data, uids[i][:]...)
	}
	return data, cardinality, nil
}

// DecodeUIDs reads a dictionary part's bytes, which may come from anywhere.
func DecodeUIDs(data []byte) ([]audience.UID, error) {
	if len(data)%16 != 0 || len(data) > 16*ChunkSize {
		return nil, fmt.Errorf("uids of %d bytes: %w", len(data), errCorrupt)
	}
	uids := make([]audience.UID, len(data)/16)
	for i := range uids {
		copy(uids[i][:], data[i*16:])
	}
	return uids, nil
}
