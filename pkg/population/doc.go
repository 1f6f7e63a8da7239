// Package population makes synthetic people: believable, invented and always the same for the same seed.
//
// It promises that person i of seed s is a pure function of (s, i): the same on every machine, in every order and however
// many people are asked for, so that a test, a benchmark and a demonstration mean the same people without a file. Facts
// hang together as they do in life (a director is rarely 19, who lives by the sea surfs more often, a household shares its
// home and its name), values are missing at the rates stated in [Rates], and nothing looks at a clock: ages are drawn as of
// [Reference], and whoever needs an age computes it for a day of their own.
//
// It does not promise official statistics: weights follow the real population of regions roughly, everything else is a
// guess. No person, e-mail address or telephone number is real: addresses are under the reserved example domains, numbers
// in the ranges that regulators keep for fiction.
//
// The first run, benchmarks and tests call it. Persons are plain values without wire types; texts of closed vocabularies
// are those that rules use ("director", "FR-NAQ").
package population
