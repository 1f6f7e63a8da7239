package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/pkg/sqldb"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

// examinePage is how many rows are in memory at a time.
const examinePage = 500

// Examine examines the store that cfg names, which may be in use, and changes nothing in it. Its schema must be that of this program.
func Examine(ctx context.Context, cfg Config, visit func(profile.Problem)) (n profile.Examined, err error) {
	cfg.SQL.Migrate = sqldb.MigrateNever
	db, err := sqldb.OpenMigrated(ctx, cfg.SQL, migrations, cfg.Logger)
	if err != nil {
		return n, fmt.Errorf("examine profile store: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s := &Store{db: db, cfg: cfg}
	if err := s.stmt.prepare(ctx, db); err != nil {
		return n, s.translate(fmt.Errorf("examine profile store: %w", err))
	}
	return s.Examine(ctx, visit)
}

// Examine looks for what cannot be, all as of one moment, page by page, and tells each problem. Revisions are compacted, so that they
// have gaps is no problem; that one is beyond the head or on two changes is.
func (s *Store) Examine(ctx context.Context, visit func(profile.Problem)) (profile.Examined, error) {
	e := &examiner{s: s, ring: s.cfg.Keys.Ring(), visit: visit}
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		e.tx = tx
		for _, step := range []func(context.Context) error{e.head, e.settings, e.revisions, e.profiles, e.index, e.tombstones, e.strays, e.redirects, e.merges} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return profile.Examined{}, s.translate(fmt.Errorf("examine profile store: %w", err))
	}
	return e.n, nil
}

type examiner struct {
	s     *Store
	tx    *sql.Tx
	ring  *keyring.Ring
	visit func(profile.Problem)
	n     profile.Examined
	// judged says that traits can be compared: they were computed with the settings of the examination. today is the day in them.
	judged bool
	today  int64
}

func (e *examiner) problem(check, name, what string) {
	e.visit(profile.Problem{Check: check, Name: name, What: what})
}

// uids tells of each uid that a query returns.
func (e *examiner) uids(ctx context.Context, query string, args []any, found func(audience.UID)) error {
	rows, err := e.tx.QueryContext(ctx, e.s.text(query), args...)
	return eachRow(rows, err, func(rows *sql.Rows) error {
		var uid sql.RawBytes
		if err := rows.Scan(&uid); err != nil {
			return err
		}
		if len(uid) != len(audience.UID{}) {
			e.problem(profile.CheckRecords, "", "a uid has another length than 16 bytes")
			return nil
		}
		found(audience.UID(uid))
		return nil
	})
}

func (e *examiner) head(ctx context.Context) error {
	head, err := readHead(ctx, e.tx, e.s.stmt.head)
	if errors.Is(err, sql.ErrNoRows) {
		e.problem(profile.CheckHead, "", "the store has no head: nothing has opened it yet, or its row is gone")
		return nil
	}
	if err != nil {
		return err
	}
	var revision int64
	var mark []byte
	err = e.tx.QueryRowContext(ctx, "select revision, mark from marks order by revision desc limit 1").Scan(&revision, &mark)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err != nil || revision != head.Revision || !bytes.Equal(mark, head.Mark) {
		e.problem(profile.CheckHead, "", fmt.Sprintf("the head is revision %d, the newest mark is of revision %d or another commit", head.Revision, revision))
	}
	beyond := []any{head.Revision}
	for _, table := range []string{"profiles", "tombstones"} {
		err := e.uids(ctx, "select {uid} from "+table+" where revision > $1 or revision < 1 order by revision limit 1000", beyond, func(uid audience.UID) {
			e.problem(profile.CheckHead, nameOf(uid), "the revision is beyond the head, or none")
		})
		if err != nil {
			return err
		}
	}
	var declared int64
	if err := e.tx.QueryRowContext(ctx, "select count(*) from attribute_changes where revision > $1 or revision < 1", beyond...).Scan(&declared); err != nil {
		return err
	}
	if declared > 0 {
		e.problem(profile.CheckHead, "", fmt.Sprintf("%d changes of attributes are beyond the head", declared))
	}
	return nil
}

// revisions looks for those that two kinds of changes share; within a kind an index keeps them apart.
func (e *examiner) revisions(ctx context.Context) error {
	for _, query := range []string{
		"select {uid} from tombstones where revision in (select revision from profiles) order by revision limit 1000",
		"select {uid} from tombstones where revision in (select revision from attribute_changes) order by revision limit 1000",
		"select {uid} from profiles where revision in (select revision from attribute_changes) order by revision limit 1000",
	} {
		err := e.uids(ctx, query, nil, func(uid audience.UID) {
			e.problem(profile.CheckRevisions, nameOf(uid), "another change has the same revision")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// examined is a profile as it is stored.
type examined struct {
	uid             audience.UID
	body, sealed    []byte
	key             int64
	contact         []byte
	current, former []hashRow
}

func (e *examiner) scan(rows *sql.Rows) (p examined, err error) {
	var uid []byte
	var skip int64
	if err = rows.Scan(&uid, &skip, &skip, &skip, &p.body, &p.sealed, &p.key); err != nil {
		return p, err
	}
	if len(uid) != len(p.uid) {
		return p, fmt.Errorf("a uid has %d bytes", len(uid))
	}
	p.uid = audience.UID(uid)
	return p, nil
}

// open opens and reads a profile; what is wrong is told if tell is true.
func (e *examiner) open(p *examined, tell bool) (ok bool) {
	problem := func(check, what string) bool {
		if tell {
			e.problem(check, nameOf(p.uid), what)
		}
		return false
	}
	if err := record.Decode(p.body, &profile.Profile{}); err != nil {
		problem(profile.CheckRecords, "the record cannot be read")
	}
	switch {
	case len(p.sealed) == 0 && p.key == 0:
		return true
	case len(p.sealed) == 0 || p.key == 0:
		return problem(profile.CheckContacts, "there is a key and no contact, or a contact and no key")
	}
	if key, ok := e.ring.SealedWith(p.sealed); ok && int64(key) != p.key {
		problem(profile.CheckContacts, "the contact is sealed with another key than it is marked with")
	}
	var err error
	if p.contact, err = e.s.unseal(e.ring, p.uid, p.sealed); err != nil {
		if fault.ReasonOf(err) == keyring.ReasonKeyUnknown {
			return problem(profile.CheckContacts, fmt.Sprintf("the contact needs key %d, which the key file does not have", p.key))
		}
		return problem(profile.CheckContacts, "the contact does not open: it was changed, or is another profile's")
	}
	if p.current, p.former, err = hashRows(e.ring, p.uid, p.contact, nil, nil); err != nil {
		return problem(profile.CheckContacts, "the contact cannot be read")
	}
	return true
}

// profiles reads every profile and looks its identifiers up.
func (e *examiner) profiles(ctx context.Context) error {
	query := e.s.text("select {uid}, revision, create_time, update_time, body, contact, contact_key from profiles where uid > $1 order by uid limit $2")
	for after := (audience.UID{}); ; {
		var page []examined
		rows, err := e.tx.QueryContext(ctx, query, after[:], int64(examinePage))
		err = eachRow(rows, err, func(rows *sql.Rows) error {
			p, err := e.scan(rows)
			page = append(page, p)
			return err
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		after = page[len(page)-1].uid
		e.n.Profiles += int64(len(page))
		byKey := make(map[uint32][][]byte)
		for i := range page {
			p := &page[i]
			if !e.open(p, true) {
				continue
			}
			for _, list := range [][]hashRow{p.current, p.former} {
				for j := range list {
					byKey[list[j].Key] = append(byKey[list[j].Key], list[j].Sum[:])
				}
			}
		}
		if err := e.behaviour(ctx, page); err != nil {
			return err
		}
		type row struct {
			keyring.Hash
			uid audience.UID
		}
		held := make(map[row]bool)
		err = eachHash(ctx, e.tx, e.s.stmt.resolve, byKey, func(h keyring.Hash, uid audience.UID) { held[row{h, uid}] = true })
		if err != nil {
			return err
		}
		for i := range page {
			p := &page[i]
			other := len(p.former) / max(1, len(p.current)) // under how many former keys each identifier is looked for
			for j, h := range p.current {
				found := held[row{h.Hash, p.uid}]
				for k := range other {
					found = found || held[row{p.former[j*other+k].Hash, p.uid}]
				}
				if !found {
					e.problem(profile.CheckIdentifiers, nameOf(p.uid), "an identifier is not in the index: who looks for it does not find the profile")
				}
			}
		}
	}
}

// index reads every row of the index and looks for the identifier that it stands for.
func (e *examiner) index(ctx context.Context) error {
	query := e.s.text("select key_id, hash, {uid}, kind from identifiers where (key_id, hash, uid) > ($1, $2, $3) order by key_id, hash, uid limit $4")
	known := make(map[int64]bool)
	for _, key := range indexKeys(e.ring) {
		known[key] = true
	}
	last := hashRow{}
	key, sum := int64(-1), []byte{}
	for {
		var page []hashRow
		rows, err := e.tx.QueryContext(ctx, query, key, sum, last.uid[:], int64(examinePage))
		err = eachRow(rows, err, func(rows *sql.Rows) error {
			var r hashRow
			var hash, uid []byte
			var id int64
			if err := rows.Scan(&id, &hash, &uid, &r.kind); err != nil {
				return err
			}
			if len(hash) != len(r.Sum) || len(uid) != len(r.uid) {
				return errors.New("a row of the index has a hash or a uid of another length")
			}
			r.Key, r.Sum, r.uid = uint32(id), [16]byte(hash), audience.UID(uid)
			page = append(page, r)
			return nil
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		last = page[len(page)-1]
		key, sum = int64(last.Key), bytes.Clone(last.Sum[:])
		e.n.Identifiers += int64(len(page))
		if err := e.indexed(ctx, page, known); err != nil {
			return err
		}
	}
}

// indexed checks rows of the index against the profiles that they name.
func (e *examiner) indexed(ctx context.Context, page []hashRow, known map[int64]bool) error {
	uids := make([]audience.UID, len(page))
	for i, r := range page {
		uids[i] = r.uid
	}
	want := make(map[hashRow]bool)
	there, shut := make(map[audience.UID]bool), make(map[audience.UID]bool)
	err := e.s.stmt.readProfiles.each(ctx, e.tx, nil, keysOf(uids), func(rows *sql.Rows) error {
		p, err := e.scan(rows)
		if err != nil {
			return err
		}
		there[p.uid] = true
		if !e.open(&p, false) { // told before
			shut[p.uid] = true
		}
		for _, list := range [][]hashRow{p.current, p.former} {
			for _, r := range list {
				want[r] = true
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range page {
		switch {
		case !there[r.uid]:
			e.problem(profile.CheckIndex, nameOf(r.uid), "the index leads to a profile that is not there")
		case !known[int64(r.Key)]:
			e.problem(profile.CheckIndex, nameOf(r.uid), fmt.Sprintf("the index has a row under key %d, which the key file does not have", r.Key))
		case !shut[r.uid] && !want[r]:
			e.problem(profile.CheckIndex, nameOf(r.uid), "the index has a row that is of no identifier of the profile")
		}
	}
	return nil
}

func (e *examiner) tombstones(ctx context.Context) error {
	if err := e.tx.QueryRowContext(ctx, "select count(*) from tombstones").Scan(&e.n.Tombstones); err != nil {
		return err
	}
	return e.uids(ctx, "select {uid} from tombstones where uid in (select uid from profiles) order by uid limit 1000", nil, func(uid audience.UID) {
		e.problem(profile.CheckTombstones, nameOf(uid), "the profile is there and deleted")
	})
}
