package rpc

import (
	"context"
	"encoding/base64"

	"google.golang.org/protobuf/proto"

	tokenv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/token/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/services/profile"
)

const cursorVersion = 1

// cursor is the opaque form of a place up to which a watcher was sent everything.
func (s *Service) cursor(at profile.Position) string {
	// A message of scalars with valid UTF-8 always marshals.
	raw, _ := proto.Marshal(&tokenv1.WatchCursor{
		Version: cursorVersion, Store: s.home.Store, Incarnation: s.home.Incarnation, Revision: at.Revision, Mark: at.Mark,
	})
	return base64.RawURLEncoding.EncodeToString(raw)
}

// parseCursor returns the revision after which to go on, once the store has recognised the cursor.
func (s *Service) parseCursor(ctx context.Context, text string) (int64, error) {
	var c tokenv1.WatchCursor
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || proto.Unmarshal(raw, &c) != nil || c.GetVersion() != cursorVersion || c.GetStore() == "" || c.GetRevision() < 0 {
		return 0, fault.InvalidField(profile.ReasonCursorInvalid, "after", "this is not a cursor; pass changes_through of a message as it was, or begin without one")
	}
	at := profile.Position{Revision: c.GetRevision(), Mark: c.GetMark()}
	if err := s.store.Check(ctx, c.GetStore(), c.GetIncarnation(), at); err != nil {
		return 0, err
	}
	return at.Revision, nil
}
