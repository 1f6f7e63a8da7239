package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

// seal seals the contact of a profile. The uid is part of the seal, so that contact data copied to another profile does not open.
func seal(ring *keyring.Ring, uid audience.UID, contact []byte) ([]byte, int64, error) {
	if len(contact) == 0 {
		return nil, 0, nil
	}
	sealed, err := ring.Seal(contact, uid[:])
	return sealed, int64(ring.PrimaryContact()), err
}

// unseal opens what seal made. What was sealed after the ring was taken may need the one that is current by now.
func (s *Store) unseal(ring *keyring.Ring, uid audience.UID, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	contact, err := s.open(ring, sealed, uid[:])
	if err != nil {
		return nil, fmt.Errorf("open contact of %s: %w", nameOf(uid), err)
	}
	return contact, nil
}

// open opens what a ring sealed, if need be with the ring that is current.
func (s *Store) open(ring *keyring.Ring, sealed, associated []byte) ([]byte, error) {
	plain, err := ring.Open(sealed, associated)
	if err != nil && fault.ReasonOf(err) == keyring.ReasonKeyUnknown {
		if now := s.cfg.Keys.Ring(); now != ring {
			plain, err = now.Open(sealed, associated)
		}
	}
	return plain, err
}

// kindNumbers are the kinds of identifiers as they are stored.
var kindNumbers = func() map[string]int64 {
	m := make(map[string]int64, len(profile.IdentifierKinds))
	for i, kind := range profile.IdentifierKinds {
		m[kind] = int64(i) + 1
	}
	return m
}()

// sourceCounts says of which kinds a value means something only together with the system that it comes from. An e-mail address is the same
// wherever it was given.
var sourceCounts = map[string]bool{profile.KindExternalID: true, "cookie": true, "device_id": true}

// appendHashed appends what is hashed of an identifier in normal form: what makes it the same. No part has a control character.
func appendHashed(to []byte, kind, source, value string) []byte {
	to = append(append(to, kind...), 0)
	if sourceCounts[kind] {
		to = append(to, source...)
	}
	return append(append(to, 0), value...)
}

// hashRow is a row of the identifiers.
type hashRow struct {
	keyring.Hash
	uid  audience.UID
	kind int64
}

func (r *hashRow) compare(o *hashRow) int {
	return cmp.Or(cmp.Compare(r.Key, o.Key), bytes.Compare(r.Sum[:], o.Sum[:]), bytes.Compare(r.uid[:], o.uid[:]))
}

// hashRows appends the rows of a profile's identifiers under the primary key to current, and under all others to former.
func hashRows(ring *keyring.Ring, uid audience.UID, contact []byte, current, former []hashRow) (c, f []hashRow, err error) {
	if len(contact) == 0 {
		return current, former, nil
	}
	var p profile.Profile
	if err := record.Decode(contact, &p); err != nil {
		return nil, nil, fmt.Errorf("decode contact of %s: %w", nameOf(uid), err)
	}
	var text []byte
	for _, id := range p.Identifiers {
		text = appendHashed(text[:0], id.Kind, id.Source, id.Value)
		for i, h := range ring.Hashes(text) {
			row := hashRow{Hash: h, uid: uid, kind: kindNumbers[id.Kind]}
			if i == 0 {
				current = append(current, row)
			} else {
				former = append(former, row)
			}
		}
	}
	return current, former, nil
}

// writeIdentifiers brings the hashes of identifiers up to the staged contacts. Rows that stay are not touched, unless they may be under
// a former key.
func (b *batch) writeIdentifiers(ctx context.Context) error {
	var puts, cuts []hashRow
	for uid, e := range b.entries {
		if e.keeps {
			continue
		}
		old := b.dbEntries[uid]
		if old == nil {
			old = &entry{uid: uid}
		}
		before, err := old.open(b)
		if err != nil {
			return err
		}
		if bytes.Equal(before, e.contact) {
			continue
		}
		have, former, err := hashRows(b.ring, uid, before, nil, cuts)
		if err != nil {
			return err
		}
		want, _, err := hashRows(b.ring, uid, e.contact, nil, nil)
		if err != nil {
			return err
		}
		cuts = former
		if len(have) == 0 {
			puts = append(puts, want...)
			continue
		}
		kept := make(map[keyring.Hash]bool, len(want))
		for _, row := range want {
			kept[row.Hash] = true
		}
		stays := make(map[keyring.Hash]bool, len(have))
		for _, row := range have {
			if !kept[row.Hash] {
				cuts = append(cuts, row)
			} else if b.oneIndexKey() {
				stays[row.Hash] = true
			}
		}
		for _, row := range want {
			if !stays[row.Hash] {
				puts = append(puts, row)
			}
		}
	}
	return b.writeHashes(ctx, puts, cuts)
}

// writeHeldIdentifiers writes the hashes of identifiers with the head locked, while there is more than one key. Another process may be
// putting the same profile under the primary key, with the head locked and without a revision: what it adds must be seen to be removed.
// Two processes with different primary keys could also both claim an external id, under two hashes that no index holds together: it is looked
// for once more.
func (b *batch) writeHeldIdentifiers(ctx context.Context) error {
	if b.oneIndexKey() {
		return nil
	}
	if err := b.writeIdentifiers(ctx); err != nil {
		return err
	}
	return b.verifyHolders(ctx)
}

// oneIndexKey says that all identifiers are under the primary key.
func (b *batch) oneIndexKey() bool { return len(b.ring.Hashes(nil)) == 1 }

// writeHashes removes and adds rows, each in the order of their key, so that processes lock them in one order.
func (b *batch) writeHashes(ctx context.Context, puts, cuts []hashRow) error {
	order := func(x, y hashRow) int { return x.compare(&y) }
	slices.SortFunc(puts, order)
	slices.SortFunc(cuts, order)
	key := func(rows []hashRow, i int, to []any) []any {
		r := &rows[i]
		return append(to, int64(r.Key), r.Sum[:], r.uid[:])
	}
	if _, err := b.s.stmt.deleteHashes.write(ctx, b.tx, len(cuts), func(i int, to []any) []any { return key(cuts, i, to) }); err != nil {
		return err
	}
	_, err := b.s.stmt.insertHashes.write(ctx, b.tx, len(puts), func(i int, to []any) []any { return append(key(puts, i, to), puts[i].kind) })
	return err
}

// eachBearer calls found for each profile that has one of the identifiers, by their index, under every key of the ring. A profile that is
// found under several keys is told several times.
func eachBearer(ctx context.Context, tx *sql.Tx, stmt *keyed, ring *keyring.Ring, ids []profile.Identifier, found func(i int, uid audience.UID)) error {
	asked := make(map[keyring.Hash][]int, len(ids))
	byKey := make(map[uint32][][]byte)
	var text []byte
	for i, id := range ids {
		text = appendHashed(text[:0], id.Kind, id.Source, id.Value)
		for _, h := range ring.Hashes(text) {
			if len(asked[h]) == 0 {
				byKey[h.Key] = append(byKey[h.Key], bytes.Clone(h.Sum[:]))
			}
			asked[h] = append(asked[h], i)
		}
	}
	return eachHash(ctx, tx, stmt, byKey, func(h keyring.Hash, uid audience.UID) {
		for _, i := range asked[h] {
			found(i, uid)
		}
	})
}

// eachHash calls found for each row under any of the hashes, grouped by their key.
func eachHash(ctx context.Context, tx *sql.Tx, stmt *keyed, byKey map[uint32][][]byte, found func(h keyring.Hash, uid audience.UID)) error {
	for key, sums := range byKey {
		err := stmt.each(ctx, tx, []any{int64(key)}, sums, func(rows *sql.Rows) error {
			var sum, uid sql.RawBytes
			if err := rows.Scan(&sum, &uid); err != nil {
				return err
			}
			found(keyring.Hash{Key: key, Sum: [16]byte(sum)}, audience.UID(uid))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
