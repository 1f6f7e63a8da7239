package rpc

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

// Numbers of fields of WatchProfilesResponse and its Change.
const (
	changesField  protowire.Number = 1
	revisionField protowire.Number = 1
	profileField  protowire.Number = 2
)

// lengthBytes is how many bytes are kept for the length of a change and of its profile: enough for 2 MiB. A length may be written with
// more bytes than it needs.
const lengthBytes = 3

// appendChange appends a change as a field of WatchProfilesResponse. A replay passes millions of profiles on: those that are given as they
// are stored are turned into the message's bytes at once.
func appendChange(frame []byte, c profile.Change) ([]byte, error) {
	if c.Stored == nil {
		one := &profilev1.WatchProfilesResponse_Change{Revision: c.Revision}
		switch {
		case c.Profile != nil:
			one.Change = &profilev1.WatchProfilesResponse_Change_Profile{Profile: toWire(c.Profile)}
		case c.Deleted != nil:
			one.Change = &profilev1.WatchProfilesResponse_Change_DeletedProfile{DeletedProfile: wire.ProfileName(*c.Deleted)}
		case c.Attribute != nil:
			one.Change = &profilev1.WatchProfilesResponse_Change_Attribute{Attribute: attributeToWire(c.Attribute)}
		}
		b, err := proto.Marshal(one)
		if err != nil {
			return frame, fmt.Errorf("marshal change: %w", err)
		}
		return protowire.AppendBytes(protowire.AppendTag(frame, changesField, protowire.BytesType), b), nil
	}
	frame, change := beginLong(frame, changesField)
	frame = protowire.AppendVarint(protowire.AppendTag(frame, revisionField, protowire.VarintType), uint64(c.Revision))
	frame, body := beginLong(frame, profileField)
	frame, err := appendStored(frame, c.Revision, c.Stored)
	if err != nil {
		return frame, fmt.Errorf("read %s: %w", profile.Name(c.Stored.UID), err)
	}
	return endLong(endLong(frame, body), change), nil
}

// appendStored appends the content of a Profile.
func appendStored(b []byte, revision int64, p *profile.Stored) ([]byte, error) {
	b = record.AppendWireHead(b, p.UID, revision, p.CreateTime, p.UpdateTime)
	for _, rec := range [][]byte{p.Body, p.Contact} {
		if len(rec) == 0 {
			continue
		}
		before := len(b)
		var whole bool
		var err error
		if b, whole, err = record.AppendWire(b, rec); err != nil {
			return b, err
		}
		if whole {
			continue
		}
		// It has more than can be passed on unread.
		var decoded profile.Profile
		if err := record.Decode(rec, &decoded); err != nil {
			return b, err
		}
		m := toWire(&decoded)
		m.Name, m.Uid, m.Etag, m.CreateTime, m.UpdateTime = "", "", "", nil, nil
		if b, err = (proto.MarshalOptions{}).MarshalAppend(b[:before], m); err != nil {
			return b, fmt.Errorf("marshal profile: %w", err)
		}
	}
	return b, nil
}

// beginLong begins a message whose length is written by endLong when it is known, into bytes kept for it.
func beginLong(b []byte, number protowire.Number) ([]byte, int) {
	b = append(protowire.AppendTag(b, number, protowire.BytesType), 0, 0, 0)
	return b, len(b)
}

func endLong(b []byte, at int) []byte {
	n := uint64(len(b) - at)
	if n >= 1<<(7*lengthBytes) {
		return slices.Replace(b, at-lengthBytes, at, protowire.AppendVarint(nil, n)...)
	}
	for i := range lengthBytes {
		b[at-lengthBytes+i] = byte(n>>(7*i))&0x7f | 0x80
	}
	b[at-1] &^= 0x80
	return b
}
