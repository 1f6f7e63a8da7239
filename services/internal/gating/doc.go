// Package gating puts the gate in front of every method: an interceptor that reads what a method's answer reveals from the
// option that its contract states, asks pkg/audience/gate before the method runs, and tells it what became of the call.
//
// It promises that a server whose methods do not all state the option can be refused before it serves (Check). It decides
// nothing itself. The suite calls it when it makes a server.
package gating
