// Package behaviour computes a person's traits from their events: how recently, how often and for how much they bought (recency,
// frequency and monetary value, as direct marketing has counted them since the 1960s), their other responses, and what they favour.
//
// It promises that [Compute] is a function of the set of events, the day and the settings alone: the order of the events does not
// matter, nor when they became known or which others were deleted since; and that the day it returns is never later than the next
// one on which the traits or the lifecycle differ, so that a store which computes a profile anew when its events change, and on
// that day, always has what computing it every day would give. Days begin and end in the store's time zone, daylight saving time
// and all; an event of a coming day counts from that day on.
//
// It does not convert currencies, keep anything between calls that a caller could see, or read a clock. Events must be canonical;
// of others the traits mean nothing, but nothing panics.
//
// Hot path: one pass over the events, for each profile whose events changed or whose day has come; BenchmarkCompute guards it.
//
// The store of the profile service calls it.
package behaviour
