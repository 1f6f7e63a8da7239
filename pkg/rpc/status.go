package rpc

import (
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/narrowcast/narrowcast/pkg/fault"
)

// Domain is the domain of every ErrorInfo that this suite sends.
const Domain = "narrowcast"

// Reasons that this package gives.
const (
	ReasonInternal        = "INTERNAL"           // the cause is in the server's log under the request id
	ReasonValidation      = "VALIDATION_FAILED"  // the request breaks rules stated in the contract; BadRequest names the fields
	ReasonMessageTooLarge = "MESSAGE_TOO_LARGE"  // a message exceeds the receiver's limit; split it
	ReasonUnreachable     = "SERVER_UNREACHABLE" // no connection, or it broke
	ReasonGoingAway       = "SERVER_GOING_AWAY"  // the server is stopping; retry elsewhere
	ReasonDeadline        = "DEADLINE_EXCEEDED"
	ReasonCancelled       = "CANCELLED"
	ReasonUnimplemented   = "UNIMPLEMENTED" // the server has no such method; it may be of another version
)

// maxViolations bounds the details of one status, which travel in headers of limited size.
const maxViolations = 100

var kindCodes = map[fault.Kind]codes.Code{
	fault.Internal: codes.Internal, fault.Invalid: codes.InvalidArgument, fault.NotFound: codes.NotFound, fault.Exists: codes.AlreadyExists,
	fault.Conflict: codes.Aborted, fault.Precondition: codes.FailedPrecondition, fault.Exhausted: codes.ResourceExhausted,
	fault.Unavailable: codes.Unavailable, fault.Unauthenticated: codes.Unauthenticated, fault.Denied: codes.PermissionDenied,
	fault.OutOfRange: codes.OutOfRange, fault.Deadline: codes.DeadlineExceeded, fault.Canceled: codes.Canceled,
	fault.Unimplemented: codes.Unimplemented, fault.DataLoss: codes.DataLoss,
}

var codeKinds = func() map[codes.Code]fault.Kind {
	m := make(map[codes.Code]fault.Kind, len(kindCodes))
	for k, c := range kindCodes {
		m[c] = k
	}
	m[codes.Unknown] = fault.Internal
	return m
}()

// Status turns an error into the status that leaves a server. requestID is told to the caller where the cause is not.
func Status(err error, requestID string) *status.Status {
	if err == nil {
		return nil
	}
	if f := fault.As(err); f != nil {
		return faultStatus(f, requestID)
	}
	// A status made by gRPC itself (a broken stream, a message that does not decode) keeps its code.
	if st, ok := status.FromError(err); ok && st.Code() != codes.Unknown && st.Code() != codes.OK {
		if infoOf(st) != nil {
			return st
		}
		if st.Code() != codes.Internal {
			return detailed(st.Code(), st.Message(), reasonOfCode(st.Code()), nil)
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return detailed(codes.DeadlineExceeded, "the call did not end before its deadline; allow it more time or ask for less", ReasonDeadline, nil)
	case errors.Is(err, context.Canceled):
		return detailed(codes.Canceled, "the call was cancelled", ReasonCancelled, nil)
	}
	return internalStatus(requestID)
}

func internalStatus(requestID string) *status.Status {
	return detailed(codes.Internal, "an unexpected error; report it with the request id", ReasonInternal, map[string]string{"request_id": requestID})
}

func faultStatus(f *fault.Error, requestID string) *status.Status {
	if f.Kind == fault.Internal {
		return internalStatus(requestID)
	}
	reason := f.Reason
	if reason == "" {
		reason = reasonOfCode(kindCodes[f.Kind])
	}
	var more []protoadapt.MessageV1
	if len(f.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range f.Violations[:min(len(f.Violations), maxViolations)] {
			bad.FieldViolations = append(bad.FieldViolations,
				&errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Description, Reason: v.Reason})
		}
		more = append(more, bad)
	}
	if len(f.Preconditions) > 0 {
		pre := &errdetails.PreconditionFailure{}
		for _, p := range f.Preconditions[:min(len(f.Preconditions), maxViolations)] {
			pre.Violations = append(pre.Violations,
				&errdetails.PreconditionFailure_Violation{Type: p.Type, Subject: p.Subject, Description: p.Description})
		}
		more = append(more, pre)
	}
	if f.RetryAfter > 0 {
		more = append(more, &errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)})
	}
	return detailed(kindCodes[f.Kind], f.Message, reason, f.Metadata, more...)
}

func detailed(code codes.Code, message, reason string, meta map[string]string, more ...protoadapt.MessageV1) *status.Status {
	st := status.New(code, strings.ToValidUTF8(message, "\uFFFD"))
	details := append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: Domain, Metadata: meta}}, more...)
	if with, err := st.WithDetails(details...); err == nil {
		return with
	}
	// Only text that is not UTF-8 cannot be encoded: the reason matters more than it.
	if with, err := st.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: Domain}); err == nil {
		return with
	}
	return st
}

// reasonOfCode is the reason of a status that nobody gave one: the name of its code.
func reasonOfCode(c codes.Code) string {
	switch c {
	case codes.Unavailable:
		return ReasonUnreachable
	case codes.DeadlineExceeded:
		return ReasonDeadline
	case codes.Canceled:
		return ReasonCancelled
	case codes.Unimplemented:
		return ReasonUnimplemented
	case codes.ResourceExhausted:
		// gRPC itself refuses nothing but sizes with this code.
		return ReasonMessageTooLarge
	case codes.InvalidArgument:
		return ReasonValidation
	case codes.Unauthenticated:
		return "UNAUTHENTICATED"
	case codes.PermissionDenied:
		return "PERMISSION_DENIED"
	case codes.NotFound:
		return "NOT_FOUND"
	case codes.AlreadyExists:
		return "ALREADY_EXISTS"
	case codes.FailedPrecondition:
		return "FAILED_PRECONDITION"
	case codes.Aborted:
		return "ABORTED"
	case codes.OutOfRange:
		return "OUT_OF_RANGE"
	case codes.DataLoss:
		return "DATA_LOSS"
	}
	return ReasonInternal
}

func infoOf(st *status.Status) *errdetails.ErrorInfo {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

// Fault turns what a gRPC client returned into a *fault.Error. io.EOF, which ends a stream, and errors that are no status stay as
// they are. Cancelled and expired calls also match the errors of package context.
func Fault(err error) error {
	if err == nil || errors.Is(err, io.EOF) || fault.As(err) != nil {
		return err
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	f := &fault.Error{Kind: codeKinds[st.Code()], Message: st.Message(), Reason: reasonOfCode(st.Code())}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			f.Reason = d.GetReason()
			f.Metadata = maps.Clone(d.GetMetadata())
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				f.Violations = append(f.Violations, fault.Violation{Field: v.GetField(), Description: v.GetDescription(), Reason: v.GetReason()})
			}
		case *errdetails.PreconditionFailure:
			for _, v := range d.GetViolations() {
				f.Preconditions = append(f.Preconditions, fault.Unmet{Type: v.GetType(), Subject: v.GetSubject(), Description: v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			f.RetryAfter = max(d.GetRetryDelay().AsDuration(), time.Duration(0))
		}
	}
	if infoOf(st) == nil {
		advise(f)
	}
	switch st.Code() {
	case codes.DeadlineExceeded:
		return f.Wrap(context.DeadlineExceeded)
	case codes.Canceled:
		return f.Wrap(context.Canceled)
	}
	return f
}

// advise completes a message of gRPC's own with what to do next.
func advise(f *fault.Error) {
	switch f.Reason {
	case ReasonUnreachable:
		f.Message = "the server cannot be reached (" + f.Message + "); check its address and that it runs, then try again"
	case ReasonMessageTooLarge:
		f.Message = "a message is larger than the receiver takes (" + f.Message + "); split it into smaller ones"
	case ReasonUnimplemented:
		f.Message = "the server does not offer this method (" + f.Message + "); check that it serves this service in this version"
	}
}
