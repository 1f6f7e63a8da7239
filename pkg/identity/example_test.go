package identity_test

import (
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/fault"
	"github.com/narrowcast/narrowcast/pkg/identity"
)

func Example() {
	const typed = " Jane.Doe+News@GMail.com"
	normal, err := identity.Normalize(identity.Email, typed, identity.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("index:", normal)
	for _, d := range []identity.Destination{identity.Google, identity.Meta, identity.UID2} {
		hash, err := identity.For(d, identity.Email, typed, identity.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(d, hash)
	}

	guard, err := identity.NewGuard(identity.Block{Rule: "till", Kinds: []string{identity.Email}, Domains: []string{"tills.shop.fr"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(guard.Blocked(identity.Email, "paris-3@tills.shop.fr"))

	_, err = identity.Normalize(identity.Phone, "06 12 34 56 78", identity.Options{})
	fmt.Println(fault.As(err).Message)
	// Output:
	// index: jane.doe+news@gmail.com
	// google d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69
	// meta f41439c944a763c9812d700a779941cec169de13c9ccd13aaf9424ba5231620a
	// uid2 1hFzBkhe0OUK+rOshx6Y+BaZFR8wKBUn1j/18jNlbGk=
	// till
	// a phone number has no country code; write it like +33 6 12 34 56 78, or name the region whose numbers come without one
}
