package rpc

import (
	"context"
	"encoding/base64"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	tokenv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/token/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"
	"github.com/narrowcast/narrowcast/services/campaign/internal/resolve"
)

// StreamMembers streams the members' uids.
func (s *Service) StreamMembers(req *campaignv1.StreamMembersRequest, out grpc.ServerStreamingServer[campaignv1.StreamMembersResponse]) error {
	ctx := out.Context()
	spec, consistency, err := s.question(ctx, req.GetAudience(), req.GetConsistency())
	if err != nil {
		return err
	}
	resume, err := parsePlace(req.GetResumeToken())
	if err != nil {
		return err
	}
	// The first message, whichever it is, says what the answer was made from.
	var info *typev1.AnswerInfo
	send := func(m *campaignv1.StreamMembersResponse) error {
		m.Info, info = info, nil
		err := rpc.SendWithin(ctx, s.slow, func() error { return out.Send(m) })
		if errors.Is(err, rpc.ErrSlow) {
			return fault.New(fault.Exhausted, "READER_TOO_SLOW", "the reader did not keep up; go on after the last resume token").Wrap(err)
		}
		return err
	}
	sent, err := s.resolver.Stream(ctx, resolve.Stream{
		Spec: spec, Consistency: consistency, Resume: resume, Limit: req.GetLimit(),
		Begin: func(i resolve.Info) error {
			info = infoWire(i)
			return nil
		},
		Send: func(uids []audience.UID, next resolve.Place) error {
			if s.leaving(ctx) {
				return rpc.GoingAway()
			}
			packed := make([]byte, 0, 16*len(uids))
			for i := range uids {
				packed = append(packed, uids[i][:]...)
			}
			return send(&campaignv1.StreamMembersResponse{Uids: packed, ResumeToken: placeToken(next)})
		},
	})
	if err != nil {
		return asked(req.GetAudience(), err)
	}
	return send(&campaignv1.StreamMembersResponse{
		ResumeToken: placeToken(sent.Next), HeldBack: sent.HeldBack, Sent: sent.Count, Complete: true,
	})
}

// leaving reports whether the server is stopping.
func (s *Service) leaving(ctx context.Context) bool {
	select {
	case <-s.stopping:
		return true
	case <-rpc.Closing(ctx):
		return true
	default:
		return false
	}
}

const memberTokenVersion = 1

// placeToken is the opaque form of a place.
func placeToken(p resolve.Place) string {
	// A message of scalars with valid UTF-8 always marshals.
	raw, _ := proto.Marshal(&tokenv1.MemberToken{
		Version: memberTokenVersion, Store: p.Store, Layout: p.Layout, Block: p.Block, Ordinal: p.Ordinal, Fingerprint: p.Fingerprint, Day: p.Day,
	})
	return base64.RawURLEncoding.EncodeToString(raw)
}

// parsePlace is the inverse of placeToken; nil for no token.
func parsePlace(token string) (*resolve.Place, error) {
	if token == "" {
		return nil, nil
	}
	var t tokenv1.MemberToken
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || proto.Unmarshal(raw, &t) != nil || t.GetVersion() != memberTokenVersion {
		return nil, fault.InvalidField(resolve.ReasonResumeTokenInvalid, "resume_token",
			"this is not a resume token; pass one on as it was received, or leave it out to begin anew")
	}
	return &resolve.Place{
		Store: t.GetStore(), Layout: t.GetLayout(), Block: t.GetBlock(), Ordinal: t.GetOrdinal(), Fingerprint: t.GetFingerprint(), Day: t.GetDay(),
	}, nil
}
