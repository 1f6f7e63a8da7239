// Package region knows the codes of countries (ISO 3166-1 alpha-2, "FR") and their subdivisions (ISO 3166-2, "FR-40"), and
// which code lies in which: FR-40 in FR-NAQ in FR.
//
// It promises that every code it calls valid has a finite chain of ancestors that ends in its country, and that Normalize
// returns either a valid code or nothing. It does not know names, borders, dates of validity or codes that were withdrawn,
// and places nothing that ISO places nowhere. The engine, the rule compiler and the profile service call it.
//
// codes.txt is generated (gen.go): one line a country, the country's code followed by the local parts of its subdivisions,
// each with "<" and the local part of its parent where it has one.
package region
