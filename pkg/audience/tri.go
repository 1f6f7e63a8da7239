package audience

// Tri is a truth value of Kleene's three-valued logic. They are ordered: AND is the smaller, OR the larger.
type Tri uint8

// The truth values.
const (
	False Tri = iota
	Unknown
	True
)

// String returns "false", "unknown" or "true".
func (t Tri) String() string {
	switch t {
	case False:
		return "false"
	case True:
		return "true"
	}
	return "unknown"
}

// Not swaps true and false and leaves unknown.
func (t Tri) Not() Tri { return True - t }

// TriOf returns True or False.
func TriOf(b bool) Tri {
	if b {
		return True
	}
	return False
}
