// Package blockstest is the suite that every blocks.Store passes: its own promises (Run), and those of a reader that answers from
// it while its content is flushed, lost, corrupted and put back (RunReader).
//
// A driver's test makes a [Server]: the store, and the means to do to its content what anyone with access to the server could.
// Only tests import it.
package blockstest
