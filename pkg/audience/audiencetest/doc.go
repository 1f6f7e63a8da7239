// Package audiencetest holds what tests of the engine, and of everything built on it, compare with: a naive twin (Eval), a block
// made of facts (Block), and seeded random schemas, people, predicates and specs.
//
// The twin promises to be obviously right rather than fast: a recursion over one profile's facts in three-valued logic, with
// the standard library's calendar, sharing with the engine nothing but the types and the table of regions. The generators
// promise to reach every kind of attribute and predicate, missing values, leap days, birth years alone, other currencies and
// empty lists, and to give the same for the same seed. None of it is for production; only tests import it.
package audiencetest
