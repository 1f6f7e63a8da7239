// Package rule reads rules: CEL text that says who is in a segment, becomes an audience.Pred.
//
// The surface is the part of CEL that the index can answer. Attributes are identifiers, as the schema names them:
//
//	gender == "female" && job_level >= "director"          enums, in their order where they have one
//	employer.size in ["51-200", "201-500"]
//	region.within("FR-NAQ")                                also a list; == and in ask for the code itself
//	postal_code.startsWith("40")
//	"cycling" in interests, interests.any(["a", "b"]), interests.all(["a", "b"])
//	age() >= 25 && age() < 35                              age(custom.joined) for another date
//	custom.signup >= date("2024-01-01")
//	days(custom.last_order, today()) <= 30
//	income >= 50000, income >= money("50000.00", "EUR")    the store's currency, or the one named
//	custom.score > decimal("1.005")
//	custom.vip, custom.vip == false
//	consent("marketing", "email"), consent("profiling")
//	segment("segments/vip"), has(income), !(...), true
//
// Literals may stand on either side. What it promises: a rule either becomes a predicate that fits the schema, whose names
// exist and whose values are possible, or is refused with a fault of kind invalid whose reason is one of those below, whose
// metadata say line and column (from 1, in characters), and whose message says what to write instead; text of any form and
// depth is refused or accepted in bounded time and memory and never ends in a panic. A rule means the same wherever it is
// compiled: it looks at no clock and no data.
//
// What it does not: evaluate. Macros over lists, arithmetic, conditionals and comparisons of two attributes are CEL but are
// refused, because no row or column answers them. The parser is cel-go's; the types are checked here, against the schema, so
// that messages speak of attributes.
//
// The segment service (rules), the campaign service (filters) and the persona service (Quote) call it.
package rule
