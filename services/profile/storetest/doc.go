// Package storetest is the conformance suite of profile.Store: every obligation of the contract, tried on a driver.
//
// It promises that a driver which passes may stand behind the service. It judges by a naive store in memory and by what the
// contract says, never by another driver; [Transcript] is for comparing engines with each other. It does not test durability on power loss nor restart of a process, which only the
// driver's own tests can.
//
// The tests of each driver call [Run].
package storetest
