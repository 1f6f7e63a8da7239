// Package wire translates between the words of narrowcast.type.v1 and those of the engine: enums and texts, calendar dates and
// days, money and scaled integers, values of custom attributes, profile names and uids.
//
// It promises that each translation is exact and has an inverse: what one service writes, another reads as the same fact. An
// enum value without a meaning here reads as "" and the enum value zero, which both mean unknown. A date, number or value that
// is wrong is an Invalid fault whose field path is relative to the message that was given, and which never repeats the value.
//
// It does not check what the contract's own rules check (lengths, patterns, defined enum values), knows no schema beyond the
// attribute it is given, and makes no facts of a whole profile.
//
// The rpc packages of all services call it, and whoever derives facts from profiles on the wire.
package wire
