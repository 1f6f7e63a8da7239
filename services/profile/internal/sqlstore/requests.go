package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/narrowcast/narrowcast/pkg/audience"
	"github.com/narrowcast/narrowcast/services/profile"
)

// answered looks for the first answer to a request id: in this group, where it is a change that is still to be stamped, or stored.
func (d *draft) answered(ctx context.Context, requestID string) (*op, *profile.Profile, error) {
	if o := d.b.requests[requestID]; o != nil {
		return o, nil, nil
	}
	var uid, body, sealed []byte
	var revision, created int64
	err := d.b.tx.QueryRowContext(ctx, d.b.s.text("select {uid}, revision, create_time, body, contact from requests where request_id = $1 and create_time >= $2"),
		requestID, d.b.oldestRequest()).Scan(&uid, &revision, &created, &body, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	contact, err := d.b.s.unseal(d.b.ring, audience.UID(uid), sealed)
	if err != nil {
		return nil, nil, err
	}
	p, err := decode(audience.UID(uid), revision, created, created, body, contact)
	return nil, p, err
}

// oldestRequest is how old an answer may be.
func (b *batch) oldestRequest() int64 { return b.now - b.s.cfg.RequestsKept.Microseconds() }

// writeRequests keeps the first answers of this group and drops those that are too old.
func (b *batch) writeRequests(ctx context.Context) error {
	if len(b.requests) == 0 {
		return nil
	}
	if _, err := b.tx.ExecContext(ctx, "delete from requests where create_time < $1", b.oldestRequest()); err != nil {
		return err
	}
	for _, o := range b.ops {
		if o.requestID == "" {
			continue
		}
		e := o.entry
		sealed, key, err := seal(b.ring, e.uid, e.contact)
		if err != nil {
			return err
		}
		if _, err := b.tx.ExecContext(ctx, "insert into requests (request_id, uid, revision, create_time, body, contact, contact_key) values ($1, $2, $3, $4, $5, $6, $7)",
			o.requestID, e.uid[:], o.revision, e.created, e.body, sealed, key); err != nil {
			return err
		}
	}
	return nil
}
