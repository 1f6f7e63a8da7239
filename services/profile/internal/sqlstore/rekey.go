package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/services/profile"
)

// rekeyed is what a group puts under the primary keys.
type rekeyed struct {
	profiles []*entry
	stray    []hashRow // rows under other keys
	requests []sealedRequest
	merges   []sealedMerge
}

type sealedRequest struct {
	id     string
	uid    audience.UID
	sealed []byte
}

func (r *rekeyed) empty() bool {
	return len(r.profiles) == 0 && len(r.stray) == 0 && len(r.requests) == 0 && len(r.merges) == 0
}

func (r *rekeyed) merge(o rekeyed) {
	r.profiles, r.stray, r.requests = append(r.profiles, o.profiles...), append(r.stray, o.stray...), append(r.requests, o.requests...)
	r.merges = append(r.merges, o.merges...)
}

// The keys in use, by steps through an index: there are few, and many rows under each.
const (
	nextContactKey = "select min(contact_key) from profiles where contact_key <> 0 and contact_key > $1"
	nextIndexKey   = "select min(key_id) from identifiers where key_id > $1"
	nextMergeKey   = "select min(record_key) from merges where record_key > $1"
	nextAnswerKey  = "select min(contact_key) from requests where contact_key > $1 and contact_key <> 0"
)

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// keysInUse returns what a query finds above $1 again and again; it may have further arguments.
func keysInUse(ctx context.Context, from querier, next string, args ...any) (keys []int64, err error) {
	args = append([]any{int64(-1)}, args...)
	for {
		var key sql.NullInt64
		if err := from.QueryRowContext(ctx, next, args...).Scan(&key); err != nil || !key.Valid {
			return keys, err
		}
		keys, args[0] = append(keys, key.Int64), key.Int64
	}
}

// indexKeys are the index keys of a ring, the primary first.
func indexKeys(ring *keyring.Ring) []int64 {
	var keys []int64
	for _, h := range ring.Hashes(nil) {
		keys = append(keys, int64(h.Key))
	}
	return keys
}

// Rekey puts up to limit profiles under the primary keys.
func (s *Store) Rekey(ctx context.Context, limit int) (int, error) {
	changed := 0
	_, err := s.submit(ctx, "rekey profiles", limit, func(ctx context.Context, d *draft) (err error) {
		changed, err = d.rekey(ctx, limit)
		return err
	})
	return changed, err
}

// rekey stages what is to be put under the primary keys, and returns how much that is.
func (d *draft) rekey(ctx context.Context, limit int) (int, error) {
	uids, err := d.rekeyContacts(ctx, limit)
	if err != nil {
		return 0, err
	}
	more, err := d.rekeyIdentifiers(ctx, limit-len(uids))
	if err != nil {
		return 0, err
	}
	uids = append(uids, more...)
	if err := d.b.load(ctx, uids); err != nil {
		return 0, err
	}
	seen := make(map[audience.UID]bool, len(uids))
	for _, uid := range uids {
		// One that was changed in this group is left for the next time.
		if e := d.entry(uid); e.exists && e.op == nil && !seen[uid] {
			d.rekeyed.profiles = append(d.rekeyed.profiles, e)
		}
		seen[uid] = true
	}
	if err := d.rekeyRequests(ctx, limit); err != nil {
		return 0, err
	}
	if err := d.rekeyMerges(ctx, limit); err != nil {
		return 0, err
	}
	return max(len(seen), len(d.rekeyed.stray), len(d.rekeyed.requests), len(d.rekeyed.merges)), nil
}

// rekeyContacts returns profiles that are sealed with another key than the primary, one that the ring has.
func (d *draft) rekeyContacts(ctx context.Context, limit int) (uids []audience.UID, err error) {
	keys, err := keysInUse(ctx, d.b.tx, nextContactKey)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if key == int64(d.b.ring.PrimaryContact()) || len(uids) >= limit {
			continue
		}
		known, err := d.b.s.contactKeyKnown(ctx, d.b.tx, d.b.ring, key)
		if err != nil {
			return nil, err
		}
		if !known {
			continue
		}
		rows, err := d.b.tx.QueryContext(ctx, d.b.s.text("select {uid} from profiles where contact_key <> 0 and contact_key = $1 order by uid limit $2"), key, limit-len(uids))
		err = eachRow(rows, err, func(rows *sql.Rows) error {
			var uid sql.RawBytes
			if err := rows.Scan(&uid); err != nil {
				return err
			}
			uids = append(uids, audience.UID(uid))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return uids, nil
}

// contactKeyKnown tries a ring on a profile that is sealed with a key.
func (s *Store) contactKeyKnown(ctx context.Context, from querier, ring *keyring.Ring, key int64) (bool, error) {
	var uid, sealed []byte
	err := from.QueryRowContext(ctx, s.text("select {uid}, contact from profiles where contact_key <> 0 and contact_key = $1 limit 1"), key).Scan(&uid, &sealed)
	if err != nil {
		if errors.Is(err, sql.ErrNoRows) { // re-sealed meanwhile
			err = nil
		}
		return false, err
	}
	_, err = ring.Open(sealed, uid)
	if fault.ReasonOf(err) == keyring.ReasonKeyUnknown {
		return false, nil
	}
	return err == nil, err
}

// rekeyIdentifiers returns whose identifiers are hashed with another key than the primary, one that the ring has.
func (d *draft) rekeyIdentifiers(ctx context.Context, limit int) (uids []audience.UID, err error) {
	for _, key := range indexKeys(d.b.ring)[1:] {
		if len(uids) >= limit {
			break
		}
		rows, err := d.b.tx.QueryContext(ctx, d.b.s.text("select hash, {uid} from identifiers where key_id = $1 order by hash limit $2"), key, limit-len(uids))
		err = eachRow(rows, err, func(rows *sql.Rows) error {
			var hash, uid sql.RawBytes
			if err := rows.Scan(&hash, &uid); err != nil {
				return err
			}
			uids = append(uids, audience.UID(uid))
			d.rekeyed.stray = append(d.rekeyed.stray, hashRow{Hash: keyring.Hash{Key: uint32(key), Sum: [16]byte(hash)}, uid: audience.UID(uid)})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return uids, nil
}

// rekeyRequests stages first answers that are sealed with another key than the primary, one that the ring has.
func (d *draft) rekeyRequests(ctx context.Context, limit int) error {
	return d.eachFormer(ctx, nextAnswerKey, "select request_id, {uid}, contact from requests where contact_key = $1 limit $2", func(rows *sql.Rows) error {
		var r sealedRequest
		var uid sql.RawBytes
		if err := rows.Scan(&r.id, &uid, &r.sealed); err != nil {
			return err
		}
		r.uid = audience.UID(uid)
		if _, err := d.b.ring.Open(r.sealed, r.uid[:]); err == nil { // else it is kept for a while and never asked for again
			d.rekeyed.requests = append(d.rekeyed.requests, r)
		}
		return nil
	}, limit, func() int { return len(d.rekeyed.requests) })
}

// eachFormer calls found for rows that are sealed with another key than the primary, key by key, until as many are staged as may be: those
// whose key is missing must not hide the others.
func (d *draft) eachFormer(ctx context.Context, next, query string, found func(*sql.Rows) error, limit int, staged func() int) error {
	keys, err := keysInUse(ctx, d.b.tx, next)
	if err != nil {
		return err
	}
	before := staged()
	for _, key := range keys {
		left := limit - (staged() - before)
		if key == int64(d.b.ring.PrimaryContact()) || left <= 0 {
			continue
		}
		rows, err := d.b.tx.QueryContext(ctx, d.b.s.text(query), key, left)
		if err := eachRow(rows, err, found); err != nil {
			return err
		}
	}
	return nil
}

// writeRekeyed seals and hashes anew what the group did not change otherwise. The head is locked, so what was read is what is there.
func (b *batch) writeRekeyed(ctx context.Context) error {
	if b.rekeyed.empty() {
		return nil
	}
	var puts, cuts []hashRow
	var contacts []*entry
	var sealed [][]byte
	changed := func(uid audience.UID) bool { return b.entries[uid] != nil }
	for _, row := range b.rekeyed.stray {
		if !changed(row.uid) {
			cuts = append(cuts, row)
		}
	}
	key := int64(b.ring.PrimaryContact())
	for _, e := range b.rekeyed.profiles {
		if changed(e.uid) {
			continue
		}
		contact, err := e.open(b)
		if err != nil {
			return err
		}
		if puts, cuts, err = hashRows(b.ring, e.uid, contact, puts, cuts); err != nil {
			return err
		}
		if e.key != key && len(contact) > 0 {
			again, _, err := seal(b.ring, e.uid, contact)
			if err != nil {
				return err
			}
			contacts, sealed = append(contacts, e), append(sealed, again)
		}
	}
	if err := b.writeHashes(ctx, puts, cuts); err != nil {
		return err
	}
	err := b.exactly(ctx, b.s.stmt.rekeyContacts, len(contacts), func(i int, to []any) []any {
		return append(to, contacts[i].uid[:], contacts[i].stored, sealed[i], key)
	})
	if err != nil {
		return err
	}
	for _, r := range b.rekeyed.requests {
		contact, err := b.ring.Open(r.sealed, r.uid[:])
		if err != nil {
			return err
		}
		again, _, err := seal(b.ring, r.uid, contact)
		if err != nil {
			return err
		}
		if _, err := b.tx.ExecContext(ctx, "update requests set contact = $1, contact_key = $2 where request_id = $3", again, key, r.id); err != nil {
			return err
		}
	}
	return b.writeRekeyedMerges(ctx, b.ring)
}

// KeyUse counts what is under which key.
func (s *Store) KeyUse(ctx context.Context) (profile.KeyUse, error) {
	use := profile.KeyUse{Contact: make(map[uint32]int64), Index: make(map[uint32]int64)}
	ring := s.cfg.Keys.Ring()
	use.PrimaryContact, use.PrimaryIndex = ring.PrimaryContact(), ring.PrimaryIndex()
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		for _, c := range []struct {
			query string
			to    map[uint32]int64
		}{
			{"select contact_key, count(*) from profiles where contact_key <> 0 group by contact_key", use.Contact},
			{"select contact_key, count(*) from requests where contact_key <> 0 group by contact_key", use.Contact},
			{"select record_key, count(*) from merges group by record_key", use.Contact},
			{"select key_id, count(*) from identifiers group by key_id", use.Index},
		} {
			rows, err := tx.QueryContext(ctx, c.query)
			err = eachRow(rows, err, func(rows *sql.Rows) error {
				var key, n int64
				err := rows.Scan(&key, &n)
				c.to[uint32(key)] += n
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return profile.KeyUse{}, s.translate(fmt.Errorf("count keys: %w", err))
	}
	return use, nil
}

// checkKeys refuses to open a store whose data needs keys that the ring has not: nothing new may be written beside what cannot be read,
// and an external id under a key that is missing could be given away twice.
func (s *Store) checkKeys(ctx context.Context, from querier) error {
	ring := s.cfg.Keys.Ring()
	keys, err := keysInUse(ctx, from, nextContactKey)
	if err != nil {
		return err
	}
	for _, key := range keys {
		known, err := s.contactKeyKnown(ctx, from, ring, key)
		if err != nil {
			return err
		}
		if !known {
			return keyMissing("contact", key)
		}
	}
	if keys, err = keysInUse(ctx, from, nextIndexKey); err != nil {
		return err
	}
	have := make(map[int64]bool)
	for _, key := range indexKeys(ring) {
		have[key] = true
	}
	for _, key := range keys {
		if !have[key] {
			return keyMissing("index", key)
		}
	}
	return nil
}

// checkSealed refuses what lies beside the profiles under contact keys that the ring has not, as far as it can still be asked for: what
// is kept of merges, and first answers. A store that is open loses these when their time is up; one that is restored should have them.
func (s *Store) checkSealed(ctx context.Context, tx *sql.Tx) error {
	ring, now := s.cfg.Keys.Ring(), s.cfg.Now()
	for _, c := range []struct {
		next, sample string
		since        time.Time
		associated   func(audience.UID) []byte
	}{
		{
			nextMergeKey + " and expire_time > $2", "select {uid}, record from merges where record_key = $1 and expire_time > $2 limit 1",
			now, mergeSeal,
		},
		{
			nextAnswerKey + " and create_time >= $2", "select {uid}, contact from requests where contact_key = $1 and create_time >= $2 limit 1",
			now.Add(-cmp.Or(s.cfg.RequestsKept, requestsKept)), func(uid audience.UID) []byte { return uid[:] },
		},
	} {
		keys, err := keysInUse(ctx, tx, c.next, c.since.UnixMicro())
		if err != nil {
			return err
		}
		for _, key := range keys {
			var uid, sealed []byte
			if err := tx.QueryRowContext(ctx, s.text(c.sample), key, c.since.UnixMicro()).Scan(&uid, &sealed); err != nil {
				return err
			}
			switch _, err := ring.Open(sealed, c.associated(audience.UID(uid))); {
			case fault.ReasonOf(err) == keyring.ReasonKeyUnknown:
				return keyMissing("contact", key)
			case err != nil:
				return err
			}
		}
	}
	return nil
}

func keyMissing(kind string, key int64) error {
	return fault.Newf(fault.Precondition, keyring.ReasonKeyUnknown,
		"the profile store needs the %s key %d, which the key file does not have or has disabled; restore the key file from its backup", kind, key).
		With("kind", kind).With("key", key)
}
