// Package keyring keeps the secret keys with which a store protects what it may not keep in the open: it seals texts so that
// only who has the key reads them, and hashes texts so that equal ones are found again without being told.
//
// There are two sets of keys, each a Tink keyset with one primary key and any number of others:
//
//   - [Contact] keys seal ([Ring.Seal], [Ring.Open]): AES-256-GCM with Tink's prefix, one byte 0x01 and four of the key's id, so
//     that a sealed text names its key ([Ring.SealedWith]);
//   - [Index] keys hash ([Ring.Hash]): HMAC-SHA256 as a pseudo-random function, cut to its first 16 bytes.
//
// A [Keys] value is both sets and what can be done to them; a [Ring] is what works with them; a [Source] is a ring that follows
// its file. One file holds both sets as Tink's own JSON in the clear, so whoever reads the file reads everything: it is created
// with mode 0600, and belongs on another disk, or in another vault, than the backups of the data. Who loses it loses what was
// sealed.
//
// # Rotation
//
// Processes read a changed file each at its own time, so a key has to be known everywhere before anybody uses it:
//
//  1. Add a key ([Keys.Add]) and give every process the file. Nobody uses the key yet, everybody can read what it would make.
//  2. Promote it ([Keys.Promote]) and give every process the file. New texts are sealed and hashed with it, old ones are still
//     opened and found: [Ring.Open] takes any enabled key and [Ring.Hashes] gives a text's hash under each.
//  3. Seal and hash again what is stored under another key than the primary ones.
//  4. Disable the old key ([Keys.Disable]), which can be undone, and see that nothing fails with KEY_UNKNOWN.
//  5. Remove it ([Keys.Remove]), which cannot: what is still sealed with it is lost.
//
// # What it promises
//
// A ring never changes and may be used by any number of goroutines at once. A sealed text opens only under the same associated
// data, with every bit as it was. No key material is in any error, log line or printed value of this package. A file is replaced
// as a whole or not at all, and a broken one changes nothing in a process that runs.
//
// Two different texts have the same hash by accident with probability 2^-128; among n texts the probability that any two do is
// below n²/2^129: 10⁹ texts, 1.5 in 10²¹. Whoever holds a hash but not the key learns nothing about the text beyond equality
// with other hashes under the same key, even where texts are few enough to try them all, such as telephone numbers.
//
// # What it does not
//
// Nonces are random and 96 bits long, so one contact key should seal at most 2^32 texts (NIST SP 800-38D, section 8.3; the
// probability that any nonce was used twice is then below 2^-32): rotate before. It counts nothing. It does not hide how long a
// sealed text is ([Overhead] bytes more than the text) nor that two hashed texts are equal. Callers separate kinds of texts:
// hash kind and value together, and give where the sealed text belongs as associated data. It wipes no memory.
//
// The stores of the services import it, through the program that opens the key file.
package keyring
