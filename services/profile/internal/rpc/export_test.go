package rpc

// What the tests of conversions call.
var (
	EventFromWire = eventFromWire
	EventToWire   = eventToWire
	ToWire        = toWire
	FromWire      = fromWire
)
