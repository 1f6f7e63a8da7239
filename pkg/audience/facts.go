package audience

// UID is a profile's public id: the 16 bytes of a UUIDv7.
type UID [16]byte

// Value is the value of one attribute of one profile. Which fields count depends on the attribute's Kind.
type Value struct {
	// Text is the value of Enum, Ordered, Region and Text attributes.
	Text string
	// List is the value of a TextList attribute; nil and empty both mean present and empty.
	List []string
	// Num is a Bool (0 or 1), a Date (days since 1970-01-01), the first possible day of a Birth, the smallest units of a
	// Decimal or Money, or for a Consent the first day on which it no longer holds (MinDay: denied, MaxDay: no expiry).
	Num int64
	// Last is the last possible day of a Birth; equal to Num where the whole date is known.
	Last int64
	// Currency is the ISO 4217 code of a Money.
	Currency string
}

// Facts is all that the index knows of one profile. A missing key is an unknown value.
type Facts map[string]Value
