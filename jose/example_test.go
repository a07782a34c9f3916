// SPDX-License-Identifier: Apache-2.0

package jose_test

import (
	"fmt"

	"github.com/caddy-gluu/gateway/jose"
)

func Example() {
	// Who issues tokens has a key and publishes its public half.
	private, err := jose.GenerateKey("ES256")
	if err != nil {
		panic(err)
	}
	published, err := jose.PublicKeySet(private.Public())
	if err != nil {
		panic(err)
	}
	token, err := jose.Sign([]byte(`{"sub":"alice"}`), private, "ES256", private.ID(), "at+jwt")
	if err != nil {
		panic(err)
	}

	// Who receives them decides what is acceptable before asking whether the
	// signature is right.
	set, err := jose.ParseKeySet(published)
	if err != nil {
		panic(err)
	}
	jws, err := jose.Parse(token, 16<<10)
	if err != nil {
		panic(err)
	}
	if jws.Header.Algorithm != "ES256" || jws.Header.KeyID != set.Keys[0].ID() {
		panic("not acceptable")
	}
	if err := jws.Verify(set.Keys[0], "ES256"); err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", jws.Payload)
	// Output: {"sub":"alice"}
}
