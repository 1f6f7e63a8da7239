package merging

import (
	"time"

	"github.com/narrowcast/narrowcast/services/profile"
	"github.com/narrowcast/narrowcast/services/profile/internal/record"
)

// Encode appends the stored form of a record to b. It holds contact data. Equal records have equal bytes.
func (r Record) Encode(b []byte) []byte {
	w := writer{b: append(b, version)}
	for _, s := range []Side{r.Survivor, r.Merged, r.Result} {
		p := s.Profile
		w.b = append(w.b, p.UID[:]...)
		w.int(p.Revision)
		w.int(p.CreateTime.UnixMicro())
		w.int(p.UpdateTime.UnixMicro())
		w.string(string(record.Body(nil, p)))
		w.string(string(record.Contact(nil, p)))
		w.string(string(s.Provenance.Encode(nil, p)))
	}
	return w.b
}

// DecodeRecord reads what Encode has written. The error of bytes that are none has no details of them.
func DecodeRecord(b []byte) (Record, error) {
	var r Record
	if len(b) == 0 || b[0] != version {
		return r, errMalformed
	}
	in := reader{b: b[1:]}
	for _, s := range []*Side{&r.Survivor, &r.Merged, &r.Result} {
		p := new(profile.Profile)
		copy(p.UID[:], in.bytes(uint64(len(p.UID))))
		p.Revision = in.int()
		p.CreateTime = time.UnixMicro(in.int()).UTC()
		p.UpdateTime = time.UnixMicro(in.int()).UTC()
		body, contact := in.bytes(in.uint()), in.bytes(in.uint())
		if in.bad || record.Decode(body, p) != nil || len(contact) > 0 && record.Decode(contact, p) != nil {
			return Record{}, errMalformed
		}
		v, err := Decode(in.bytes(in.uint()), p)
		if err != nil {
			return Record{}, err
		}
		s.Profile, s.Provenance = p, v
	}
	if in.bad || len(in.b) > 0 {
		return Record{}, errMalformed
	}
	return r, nil
}
