// Package storetest is the conformance suite of segment.Store: every driver runs it, against a fresh store for each case.
//
// It checks what the methods of the interface promise, with independent expectations: the order and density of revisions under
// concurrent writers, the graph of references, the lists, the ordinals and the lease. It does not measure, and does not look
// into a driver. Tests of drivers call [Run].
package storetest
