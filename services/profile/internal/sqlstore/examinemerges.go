package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/keyring"
	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/merging"
)

// redirects looks for uids of merged profiles that do not lead to the one that the person is now, in one step.
func (e *examiner) redirects(ctx context.Context) error {
	for _, c := range []struct{ where, what string }{
		{"exists (select 1 from profiles p where p.uid = r.uid)", "the profile is there, and its uid leads to another one"},
		{"not exists (select 1 from tombstones t where t.uid = r.uid) and not exists (select 1 from profiles p where p.uid = r.uid)",
			"the profile was merged, and watchers are not told that it is gone"},
		{"not exists (select 1 from profiles p where p.uid = r.target) and not exists (select 1 from tombstones t where t.uid = r.target)",
			"the uid leads to a profile that never was"},
		{"exists (select 1 from redirects o where o.uid = r.target)", "the uid leads to a profile that was itself merged into another one"},
		{"r.survivor <> r.target and not exists (select 1 from redirects o where o.uid = r.survivor and o.target = r.target)",
			"the uid leads elsewhere than the profile that it was merged into"},
		{"(r.survivor, r.seq) in (select survivor, seq from redirects group by survivor, seq having count(*) > 1)",
			"two merges into one profile have the same place in their order"},
	} {
		err := e.uids(ctx, "select {uid} from redirects r where "+c.where+" order by uid limit 1000", nil, func(uid audience.UID) {
			e.problem(profile.CheckRedirects, nameOf(uid), c.what)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// kept is what is kept of a merge, as it is stored.
type kept struct {
	uid     audience.UID
	expires int64
	sealed  []byte
	key     int64
}

// merges opens everything that is kept of merges.
func (e *examiner) merges(ctx context.Context) error {
	query := e.s.text("select {uid}, expire_time, record, record_key from merges where uid > $1 order by uid limit $2")
	for after := (audience.UID{}); ; {
		var page []kept
		rows, err := e.tx.QueryContext(ctx, query, after[:], int64(examinePage))
		err = eachRow(rows, err, func(rows *sql.Rows) error {
			var m kept
			var uid []byte
			if err := rows.Scan(&uid, &m.expires, &m.sealed, &m.key); err != nil {
				return err
			}
			if len(uid) != len(m.uid) {
				return fmt.Errorf("the uid of a merge has %d bytes", len(uid))
			}
			m.uid = audience.UID(uid)
			page = append(page, m)
			return nil
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].uid
		e.n.Merges += int64(len(page))
		for i := range page {
			if what := e.undoable(&page[i]); what != "" {
				e.problem(profile.CheckMerges, nameOf(page[i].uid), what)
			}
		}
	}
	return e.uids(ctx, "select {uid} from merges m where not exists (select 1 from redirects r where r.uid = m.uid) order by uid limit 1000", nil, func(uid audience.UID) {
		e.problem(profile.CheckMerges, nameOf(uid), "something is kept of a merge that was not made, or was taken back")
	})
}

// undoable says why a merge could not be taken back; nothing where it can, or its time is up.
func (e *examiner) undoable(m *kept) string {
	if m.expires <= e.s.cfg.Now().UnixMicro() {
		return ""
	}
	if key, ok := e.ring.SealedWith(m.sealed); ok && int64(key) != m.key {
		return "what is kept of the merge is sealed with another key than it is marked with"
	}
	plain, err := e.s.open(e.ring, m.sealed, mergeSeal(m.uid))
	switch {
	case fault.ReasonOf(err) == keyring.ReasonKeyUnknown:
		return fmt.Sprintf("what is kept of the merge needs key %d, which the key file does not have", m.key)
	case err != nil:
		return "what is kept of the merge does not open: it was changed, or is another one's"
	}
	if _, err := merging.DecodeRecord(plain); err != nil {
		return "what is kept of the merge cannot be read"
	}
	return ""
}
