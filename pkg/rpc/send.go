package rpc

import (
	"context"
	"errors"
	"time"
)

// ErrSlow is the error of a reader who leaves a message untaken for too long.
var ErrSlow = errors.New("the reader does not take what is sent to it")

// SendWithin sends one message of a stream, waiting at most limit for its reader: flow control makes a send wait for ever
// otherwise. It returns the send's error, [ErrSlow], or the context's cause. After the latter two the send may still be under
// way; the handler must then return, which ends the stream and with it the send, and must not change what it sends.
func SendWithin(ctx context.Context, limit time.Duration, send func() error) error {
	sent := make(chan error, 1)
	go func() { sent <- send() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-sent:
		return err
	case <-timer.C:
		return ErrSlow
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
