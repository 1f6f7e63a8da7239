// Package client is the Go client that internal platforms import: typed access to all services over one or several addresses,
// with the bookkeeping that every caller would otherwise write again.
//
// It promises:
//
//   - errors are *fault.Error values with the service's stable reason; gRPC is never seen;
//   - the consistency tokens that writes return are remembered and merged, and with ReadYourWrites every question that states no
//     consistency of its own is answered from a state that includes them; [Client.Token] and [Client.Observe] carry them to other
//     processes;
//   - calls that change nothing are tried again while the service is UNAVAILABLE, within the call's deadline; nothing else is;
//   - [Client.Members] streams an audience across broken connections: it resumes where it stopped, gives nobody twice, and ends
//     without error only when the service has said that the stream is complete.
//
// It holds no cache and starts no goroutine of its own. A Client may be used concurrently; a member stream is for one reader.
package client
