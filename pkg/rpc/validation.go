package rpc

import (
	"hash/maphash"
	"sync"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
)

// validation checks messages against the rules in their contracts, and remembers small ones that passed: the same question is asked again
// and again, and reading it by reflection takes longer than answering it. No rule looks at the clock, so what was valid is valid.
// What is remembered is a keyed hash of a message, not the message. It is safe for concurrent use.
type validation struct {
	rules protovalidate.Validator
	seeds [2]maphash.Seed

	mu       sync.RWMutex
	now, old map[fingerprint]struct{}
}

// fingerprint is 128 bits that nobody outside the process can steer: two messages share one by no accident that ever happens.
type fingerprint [2]uint64

// Bounds of what is remembered: messages in bytes, and their number, twice.
const (
	maxRemembered  = 1 << 10
	mostRemembered = 1 << 12
)

// rules are one for the process: they compile those of a message type when they first meet it, and keep nothing else.
var rules = sync.OnceValues(func() (protovalidate.Validator, error) { return protovalidate.New() })

func newValidation() (*validation, error) {
	r, err := rules()
	if err != nil {
		return nil, err
	}
	return &validation{
		rules: r, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, now: make(map[fingerprint]struct{}),
	}, nil
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

func (v *validation) check(m proto.Message) error {
	key, ok := v.fingerprint(m)
	if ok && v.passed(key) {
		return nil
	}
	if err := v.rules.Validate(m); err != nil {
		return err
	}
	if ok {
		v.remember(key)
	}
	return nil
}

// fingerprint returns that of a small message. One whose bytes vary, as maps are written in any order, has several.
func (v *validation) fingerprint(m proto.Message) (key fingerprint, ok bool) {
	buffer := buffers.Get().(*[]byte) //nolint:forcetypeassert // of the pool
	defer buffers.Put(buffer)
	options := proto.MarshalOptions{AllowPartial: true}
	if options.Size(m) > maxRemembered {
		return key, false
	}
	data := append((*buffer)[:0], m.ProtoReflect().Descriptor().FullName()...)
	data, err := options.MarshalAppend(append(data, 0), m)
	*buffer = data[:0]
	if err != nil {
		return key, false
	}
	for i, seed := range v.seeds {
		key[i] = maphash.Bytes(seed, data)
	}
	return key, true
}

func (v *validation) passed(key fingerprint) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if _, ok := v.now[key]; ok {
		return true
	}
	_, ok := v.old[key]
	return ok
}

// remember keeps the newest: when there are many, those of the time before go.
func (v *validation) remember(key fingerprint) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.now) >= mostRemembered {
		v.old, v.now = v.now, make(map[fingerprint]struct{})
	}
	v.now[key] = struct{}{}
}
