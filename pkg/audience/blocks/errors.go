package blocks

import (
	"errors"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// The stable reasons of this package's faults.
const (
	ReasonBlockUnknown     = "BLOCK_UNKNOWN"
	ReasonStoreUnreachable = "STORE_UNREACHABLE"
	ReasonIndexStale       = "INDEX_STALE"
	ReasonIndexNotReady    = "INDEX_NOT_READY"
	ReasonTokenNotReached  = "TOKEN_NOT_REACHED"
	ReasonLayoutGone       = "LAYOUT_GONE"
	ReasonWatcherTooSlow   = "WATCHER_TOO_SLOW"
	ReasonServerGoingAway  = "SERVER_GOING_AWAY"
	ReasonDefinitionsMoved = "DEFINITIONS_MOVED"
)

// The faults of this package; test with errors.Is.
var (
	// ErrBlockUnknown: a block could not be read and checked before the deadline, although a refill was asked for.
	ErrBlockUnknown = fault.New(fault.Unavailable, ReasonBlockUnknown, "a part of the index is being written again; repeat the request")
	// ErrStoreUnreachable: the block store does not answer.
	ErrStoreUnreachable = fault.New(fault.Unavailable, ReasonStoreUnreachable, "the store of blocks does not answer; repeat the request")
	// ErrStale: the manifest is older than the staleness bound of the request.
	ErrStale = fault.New(fault.Unavailable, ReasonIndexStale, "the index is older than the staleness bound; repeat the request or allow stale answers")
	// ErrNotReady: no manifest has been received yet.
	ErrNotReady = fault.New(fault.Unavailable, ReasonIndexNotReady, "the index has not been announced yet; repeat the request")
	// ErrTokenNotReached: the state that the request waits for was not reached before the deadline.
	ErrTokenNotReached = fault.New(fault.Unavailable, ReasonTokenNotReached, "the state of the consistency token was not reached in time; repeat the request")
	// ErrLayoutGone: the ordinals of the answer belong to a numbering that is no longer served.
	ErrLayoutGone = fault.New(fault.Unavailable, ReasonLayoutGone, "the index was laid out anew while the answer was made; begin again")
	// ErrDefinitionsMoved: a segment's rows were replaced by those of a newer rule while the answer was made. The whole answer
	// has to begin again under the newest view; Reader.Answer does so.
	ErrDefinitionsMoved = fault.New(fault.Unavailable, ReasonDefinitionsMoved, "a definition changed while the answer was made; repeat the request")
	// ErrTooSlow: a subscriber of the manifest did not keep up and has to subscribe again.
	ErrTooSlow = fault.New(fault.Exhausted, ReasonWatcherTooSlow, "the reader does not keep up with the manifest; subscribe again")
	// ErrPublisherClosed: the publisher ends; subscribe again elsewhere.
	ErrPublisherClosed = fault.New(fault.Unavailable, ReasonServerGoingAway, "the manifest's server is stopping; subscribe again")
)

// Errors of the writing side. They never leave the segment service.
var (
	// ErrSuperseded: the block was written under a higher lease number. The holder must step down.
	ErrSuperseded = errors.New("blocks: the block was written under a higher lease number")
	// ErrOutOfOrder: the store already holds a later version of the same epoch. A write that came late must not be repeated.
	ErrOutOfOrder = errors.New("blocks: the store holds a later version of the block")
	// ErrRewriteNeeded: an earlier write of the block failed with an unknown outcome, so only Writer.Rewrite is safe now.
	ErrRewriteNeeded = errors.New("blocks: an earlier write failed; rewrite the whole block")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("blocks: the store is closed")
)

// errCorrupt is in the chain of every refusal of bytes that came from a store. It stays inside: to the caller such a block is
// unknown.
var errCorrupt = errors.New("blocks: bytes do not pass their checks")
