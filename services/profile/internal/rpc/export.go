package rpc

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"google.golang.org/grpc"

	profilev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/profile/v1"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/identity"
	"github.com/narrowcast/narrowcast/pkg/rpc"
	"github.com/narrowcast/narrowcast/services/internal/wire"
	"github.com/narrowcast/narrowcast/services/profile"
)

// exportPage is how many profiles are read, and sent in one message; exportChunk is how many a caller may ask for in one.
const (
	exportPage  = 512
	exportChunk = 4096
)

// channelOf is the channel over which an identifier of a kind reaches its person: what was decided for it counts for the identifier.
var channelOf = map[string]string{
	identity.Email: "email", identity.Phone: "phone",
	identity.MobileAdID: "web", identity.Cookie: "web", identity.DeviceID: "web", identity.UID2Token: "web",
}

// export is one stream of ExportIdentifiers.
type export struct {
	s        *Service
	to       identity.Destination
	kinds    []string
	purposes []string
	today    int64
	// merged are the people met so far who are what others were merged into; true: one of these others was given. They alone can be given by
	// several uids, so nobody else need be remembered.
	merged map[audience.UID]bool
}

// ExportIdentifiers streams identifiers as a destination wants them.
func (s *Service) ExportIdentifiers(stream grpc.BidiStreamingServer[profilev1.ExportIdentifiersRequest, profilev1.ExportIdentifiersResponse]) error {
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return exportProtocol("start", "an export begins with a start message")
	}
	if err != nil {
		return err
	}
	e, err := s.newExport(first.GetStart())
	if err != nil {
		return err
	}
	ctx := stream.Context()
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		packed := m.GetChunk().GetUids()
		if len(packed) == 0 || len(packed)%16 != 0 || len(packed) > 16*exportChunk {
			return exportProtocol("chunk", "after the start come chunks of packed uids, 16 bytes each, at most 4,096 of them")
		}
		for page := range slices.Chunk(packed, 16*exportPage) {
			res, err := e.page(ctx, page)
			if err != nil {
				return err
			}
			packed = packed[len(page):]
			res.ChunkDone = len(packed) == 0
			if err := rpc.SendWithin(ctx, s.opts.SendTimeout, func() error { return stream.Send(res) }); errors.Is(err, rpc.ErrSlow) {
				return fault.New(fault.Exhausted, profile.ReasonWatcherTooSlow, "the reader did not keep up; export the rest anew")
			} else if err != nil {
				return err
			}
		}
		select {
		case <-s.closing:
			return goingAway()
		case <-rpc.Closing(ctx):
			return goingAway()
		default:
		}
	}
}

func exportProtocol(expected, message string) error {
	return fault.New(fault.Invalid, profile.ReasonExportProtocol, message).With("expected", expected)
}

func (s *Service) newExport(start *profilev1.ExportIdentifiersRequest_Start) (*export, error) {
	if start == nil {
		return nil, exportProtocol("start", "an export begins with a start message that names the destination")
	}
	name := strings.ToLower(strings.TrimPrefix(start.GetDestination().String(), "DESTINATION_"))
	to, err := identity.ParseDestination(name)
	if err != nil {
		return nil, fault.InvalidField(profile.ReasonValidationFailed, "start.destination", "name a destination such as DESTINATION_GOOGLE")
	}
	e := &export{s: s, to: to, kinds: to.Kinds(), purposes: to.Purposes(), today: s.today(), merged: make(map[audience.UID]bool)}
	if len(start.GetKinds()) > 0 {
		e.kinds = e.kinds[:0]
		for i, kind := range start.GetKinds() {
			text := wire.IdentifierKinds.Text(kind)
			if !slices.Contains(to.Kinds(), text) {
				return nil, fault.InvalidField(profile.ReasonValidationFailed, fault.Index("start.kinds", i),
					"the destination does not take identifiers of this kind; leave it out")
			}
			e.kinds = append(e.kinds, text)
		}
	}
	return e, nil
}

// page exports the profiles of a page of packed uids.
func (e *export) page(ctx context.Context, packed []byte) (*profilev1.ExportIdentifiersResponse, error) {
	uids := make([]audience.UID, 0, len(packed)/16)
	for uid := range slices.Chunk(packed, 16) {
		uids = append(uids, audience.UID(uid))
	}
	found, err := e.s.store.BatchGet(ctx, uids)
	if err != nil {
		return nil, err
	}
	survivors, err := e.survivors(ctx, uids, found)
	if err != nil {
		return nil, err
	}
	res := &profilev1.ExportIdentifiersResponse{}
	for i, p := range found {
		if p == nil || survivors[p.UID] && e.again(p.UID, uids[i]) {
			res.NotFound++
			continue
		}
		r, withheld := e.record(p)
		switch {
		case len(r.GetIdentifiers()) > 0:
			res.Records = append(res.Records, r)
		case withheld:
			res.WithoutConsent++
		default:
			res.WithoutIdentifier++
		}
	}
	return res, nil
}

// survivors are the people of a page into whom others were merged. It is asked after they were read, so that a merge in between is seen.
func (e *export) survivors(ctx context.Context, asked []audience.UID, found []*profile.Profile) (map[audience.UID]bool, error) {
	own := make([]audience.UID, 0, len(found))
	led := make([]audience.UID, 0)
	for i, p := range found {
		switch {
		case p == nil:
		case p.UID == asked[i]:
			own = append(own, p.UID)
		default:
			led = append(led, p.UID)
		}
	}
	survivors, err := e.s.store.Survivors(ctx, own)
	if err != nil {
		return nil, err
	}
	for _, uid := range led {
		survivors[uid] = true
	}
	return survivors, nil
}

// again reports whether a person who was merged of several was exported before, by another uid: that of a profile that was merged leads to
// the one that the person is now. A merge made between the two counts from then on.
func (e *export) again(is, asked audience.UID) bool {
	led, met := e.merged[is]
	if is == asked {
		e.merged[is] = led
		return led
	}
	e.merged[is] = true
	return met
}

// record is what a person has for the destination; withheld says that consent kept something back. An identifier that the destination
// could not use is left out, not the person.
func (e *export) record(p *profile.Profile) (r *profilev1.ExportIdentifiersResponse_Record, withheld bool) {
	r = &profilev1.ExportIdentifiersResponse_Record{Uid: p.UID[:]}
	for _, id := range p.Identifiers {
		if !slices.Contains(e.kinds, id.Kind) {
			continue
		}
		value, err := identity.For(e.to, id.Kind, id.Value, identity.Options{})
		if err != nil {
			continue
		}
		if !e.permitted(p, channelOf[id.Kind]) {
			withheld = true
			continue
		}
		one := &profilev1.ExportIdentifiersResponse_Exported{Kind: wire.IdentifierKinds.Value(id.Kind), Value: value, Source: id.Source}
		if !slices.ContainsFunc(r.Identifiers, func(had *profilev1.ExportIdentifiersResponse_Exported) bool {
			return had.GetKind() == one.GetKind() && had.GetValue() == one.GetValue() && had.GetSource() == one.GetSource()
		}) {
			r.Identifiers = append(r.Identifiers, one)
		}
	}
	return r, withheld
}

// permitted reports whether the person has granted every purpose that the destination needs.
func (e *export) permitted(p *profile.Profile, channel string) bool {
	for _, purpose := range e.purposes {
		if !p.Granted(purpose, channel, e.today) {
			return false
		}
	}
	return true
}
