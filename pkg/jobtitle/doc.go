// Package jobtitle reads the level of a job from a free-text title.
//
// [Read] maps a title such as "Vice President of Sales" to one of the levels of audience.JobLevels with a confidence from 0
// to 1, or to no level where the title does not say one ("Welder", "Registered Nurse"). It is a pure function of the title:
// words and rules, no model and no memory.
//
// It promises that
//
//   - case, accents, Unicode form, punctuation, gendered endings (Leiter/in, directeur·rice, Leiter*in) and marks such as
//     (m/w/d) do not change the answer;
//   - any input is answered in bounded time without a panic: only the first 200 characters count;
//   - an answer of confidence [Sure] or more was right for at least 95 % of the titles of the labelled sample in the tests.
//     Confidences below it order answers; they are estimates, not measured frequencies.
//
// It does not promise the truth. The same title means different work at different employers, and in O*NET 566 reported titles
// belong to more than one occupation. So a title is read for the level that its words state; where usage differs, the
// more frequent meaning is taken with a confidence below Sure. Decisions of this kind, stated once:
//
//   - Managing Director is cxo (0.7): it heads the company in most countries, but is a grade in banks. Executive Director
//     is cxo (0.6): it heads a charity, but is a grade in banks. Geschäftsführer is cxo.
//   - Head of a function and Leiter are director; Teamleiter, Abteilungsleiter, chef de service and jefe are manager.
//   - Supervisor and foreman are manager: they manage people.
//   - Deputy and associate keep the level with less confidence. Assistant before a level is one level down, yet never below
//     manager: Assistant Director is manager, Assistant Vice President director.
//   - Account, case, project and product managers manage no people as a rule: manager, below Sure. Art, casting, funeral and
//     music directors practise a craft: director, far below Sure.
//   - A partner is one of professional services; business, channel and people partners are not partners, product owners no
//     owners.
//   - Who is retired, was something or wants to become something has no level. A student is in training, below Sure.
//
// A title is cut into parts at commas, slashes and the words for "and"; a part into its core and what follows a preposition,
// which does not say who the person is ("Assistant to the Director"). Within a part the first of these that applies
// decides: no job any more; training; unpaid work; support of somebody else; owner words; the last word that names a level,
// with the words around it; a word that grades a profession (senior, junior, lead, principal). Of several parts the highest
// level counts, with less confidence where they differ; whatever follows an assistant "to" somebody is left out. What stands
// in parentheses counts only where the rest says nothing.
//
// English is covered well; German, French and Spanish by the frequent words of seniority; other languages are unknown.
//
// The import of the command line calls it for columns of titles. The labels of O*NET titles in the tests are this project's
// own reading; the titles are from the O*NET 27.0 Database by the U.S. Department of Labor, CC BY 4.0.
package jobtitle
