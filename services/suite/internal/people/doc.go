// Package people writes the persons of a synthetic population as profiles and declares their custom attributes.
//
// It promises that every fact of a person is in the profile and nothing else is, so that tests may compare the answers of
// the suite with a loop over the population. It makes nobody up: package population does. The first run calls it.
package people
