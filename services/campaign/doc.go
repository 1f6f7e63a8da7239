// Package campaign holds the nouns of the campaign service: the question that an audience asks ([Spec]), the saved [Audience], the
// [Campaign] that is aimed at one, and the [Store] that keeps them.
//
// It promises:
//
//   - what [Spec.Question] and [Campaign.Check] accept means something: every range begins before it ends, every word is of the vocabulary
//     of pkg/audience, every region and name exists; all violations are reported at once with the field's path and a stable reason;
//   - a spec is kept in a form that a later program reads ([EncodeSpec]); a program that meets a spec with a part that it does not
//     know refuses it, since dropping an exclusion would widen an audience.
//
// It does not know which segments, personas and declared attributes exist: [Names] says that, which the resolver answers from the
// manifest. It does no I/O.
//
// The rooms of the service import it, and nobody else.
package campaign
