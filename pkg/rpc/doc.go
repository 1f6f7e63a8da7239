// Package rpc makes gRPC servers and clients that all behave alike, over the network and inside one process.
//
// It promises:
//
//   - one fixed order of interceptors, for unary calls and streams, on the network and on the in-process channel ([Options] and
//     chain.go): recover, request id and logger, observe, error mapping, deadline, authenticate, authorise, validate, gate, handler;
//   - every error leaves a server as a status with google.rpc.ErrorInfo (stable reason, domain "narrowcast"), BadRequest,
//     PreconditionFailure and RetryInfo where they apply, and arrives at a caller as a *fault.Error again: who calls through
//     [Dial] or [Local] compares fault.KindOf and fault.ReasonOf and never sees gRPC;
//   - what is not a fault is INTERNAL with a fixed text, and its cause is logged under the request id that the caller gets;
//   - a trace runs through every call: both ends make spans, in one process as well;
//   - a stop is bounded: streams are told by [Closing], calls under way may end, then connections are cut.
//
// It does not know any service, holds no certificate logic beyond taking credentials, and decides nothing about callers: the
// hooks in Options do.
//
// The doors of the services register on a [Server]; the suite, the command line and pkg/client dial.
package rpc
