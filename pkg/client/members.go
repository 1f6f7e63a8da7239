package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	campaignv1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/campaign/v1"
	typev1 "github.com/narrowcast/narrowcast/proto/gen/go/narrowcast/type/v1"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// ReasonBadStream is the reason of a member stream that breaks its own contract: a packed list of uids that ends within one, or
// an end without the message that says "complete" and without an error.
const ReasonBadStream = "MEMBER_STREAM_BROKEN"

// A broken stream is resumed so many times in a row without a new message; then its error is returned.
const maxFruitless = 6

// Members is one reading of an audience. Range over All once; the other methods say what is known so far.
type Members struct {
	ctx    context.Context // the stream's, as generated streams have it
	client campaignv1.AudienceServiceClient
	req    *campaignv1.StreamMembersRequest
	limit  int64

	stream    grpc.ServerStreamingClient[campaignv1.StreamMembersResponse]
	info      *typev1.AnswerInfo
	received  int64
	heldBack  int64
	resumes   int
	fruitless int
	lost      bool // the last message cannot be resumed behind
	complete  bool
	used      bool
}

// Members streams the uids of an audience's members. A stream that breaks because the service is UNAVAILABLE is resumed, after
// a pause that grows from 0.1 s to 2 s, until the service is away for six attempts in a row or ctx ends. Other errors end it at
// once. The request is not changed.
func (c *Client) Members(ctx context.Context, req *campaignv1.StreamMembersRequest) *Members {
	return &Members{ctx: ctx, client: c.Audiences, req: proto.CloneOf(req), limit: req.GetLimit()}
}

// Info says what the answer was made from; nil before the first message.
func (m *Members) Info() *typev1.AnswerInfo { return m.info }

// Received is how many uids have been received.
func (m *Members) Received() int64 { return m.received }

// HeldBack is how many members were held back because their consent had gone, known once the stream is complete.
func (m *Members) HeldBack() int64 { return m.heldBack }

// Resumes is how many times the stream was begun again.
func (m *Members) Resumes() int { return m.resumes }

// Complete reports whether the service said that this was all.
func (m *Members) Complete() bool { return m.complete }

// ResumeToken is behind the last message whose uids were all handed out: another process can go on from there.
func (m *Members) ResumeToken() string { return m.req.GetResumeToken() }

// All yields every uid once. After an error, which comes with the zero uid, nothing follows. A second range yields nothing.
func (m *Members) All() iter.Seq2[uuid.UUID, error] {
	return func(yield func(uuid.UUID, error) bool) {
		if m.used {
			return
		}
		m.used = true
		ctx, cancel := context.WithCancel(m.ctx)
		defer cancel() // ends the stream when the caller stops early
		for !m.complete {
			msg, err := m.next(ctx)
			if err != nil {
				yield(uuid.UUID{}, err)
				return
			}
			if msg == nil {
				continue
			}
			for packed := msg.GetUids(); len(packed) > 0; packed = packed[16:] {
				m.received++
				if !yield(uuid.UUID(packed[:16]), nil) {
					return
				}
			}
			m.consumed(msg)
		}
	}
}

// next returns the next message, or nil after a break that can be resumed.
func (m *Members) next(ctx context.Context) (*campaignv1.StreamMembersResponse, error) {
	msg, err := m.receive(ctx)
	if err == nil {
		m.fruitless = 0
		if len(msg.GetUids())%16 != 0 {
			return nil, fault.New(fault.Internal, ReasonBadStream, "the member stream sent half a uid; report it")
		}
		if msg.GetInfo() != nil && m.info == nil {
			m.info = msg.GetInfo()
		}
		return msg, nil
	}
	m.stream = nil
	if errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Internal, ReasonBadStream, "the member stream ended without saying that it is complete; report it")
	}
	m.fruitless++
	if m.limit > 0 && m.received >= m.limit {
		m.complete = true // only the closing message is missing; asking for the rest, which is 0, would ask for everyone
		return nil, nil
	}
	if fault.KindOf(err) != fault.Unavailable || m.fruitless >= maxFruitless || m.lost {
		return nil, err
	}
	if err := pause(ctx, max(fault.As(err).RetryAfter, 100*time.Millisecond<<min(m.fruitless-1, 4)), err); err != nil {
		return nil, err
	}
	m.resumes++
	return nil, nil
}

func (m *Members) receive(ctx context.Context) (*campaignv1.StreamMembersResponse, error) {
	if m.stream == nil {
		stream, err := m.client.StreamMembers(ctx, m.req)
		if err != nil {
			return nil, err
		}
		m.stream = stream
	}
	return m.stream.Recv()
}

// consumed notes that a message's uids were handed out: from here the stream can be resumed.
func (m *Members) consumed(msg *campaignv1.StreamMembersResponse) {
	if msg.GetResumeToken() != "" {
		m.req.ResumeToken = msg.GetResumeToken()
	}
	if msg.GetComplete() {
		m.complete, m.heldBack = true, msg.GetHeldBack()
		return
	}
	// Without a token behind these uids a resumed stream would give them twice.
	m.lost = msg.GetResumeToken() == "" && len(msg.GetUids()) > 0
	if m.limit > 0 {
		m.req.Limit = max(m.limit-m.received, 0) // a resumed stream is asked for the rest only
	}
}

// pause waits, or gives up with why where ctx would end first.
func pause(ctx context.Context, d time.Duration, why error) error {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return why
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
