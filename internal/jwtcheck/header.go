// SPDX-License-Identifier: Apache-2.0

package jwtcheck

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/jose"
)

// Header checks the header of a token whose key is known.
//
// The algorithm is the configuration's choice and never the token's (RFC 8725,
// section 3.1): it must be one of algorithms, in canonical spelling. "none" and
// the HMACs belong in no such list. No token may have one of the forbidden
// members.
func Header(header jose.Header, algorithms []string) error {
	if !slices.Contains(algorithms, header.Algorithm) {
		return fmt.Errorf("algorithm %.20q is not accepted", header.Algorithm)
	}
	return checkMembers(header, forbidden)
}

// HeaderWithKey checks the header of a token that must bring its own key as
// "jwk", such as a DPoP proof (RFC 9449, section 4.2): all other forbidden
// members are refused. What the key may be is the caller's to check.
func HeaderWithKey(header jose.Header) error {
	return checkMembers(header, forbiddenBesideKey)
}

// forbidden are the header members that no token may have.
//
// The first four bring or point to a key. The issuer's keys are known; a token
// that suggests another one is an attempt to have it accepted, or its address
// called (RFC 8725, section 3.10). The others change how the token is to be
// read: no extension is understood here, so a "crit" cannot be complied with,
// whatever it lists (RFC 7515, section 4.1.11), "b64" neither (RFC 7797), and
// "enc" makes a JWE of it for other readers (RFC 7516, section 9).
var (
	forbidden          = []string{"jwk", "jku", "x5u", "x5c", "crit", "b64", "enc"}
	forbiddenBesideKey = forbidden[1:]
)

func checkMembers(header jose.Header, forbidden []string) error {
	for _, name := range forbidden {
		if header.Has(name) {
			return fmt.Errorf("member %s is not accepted", name)
		}
	}
	return nil
}

// MediaType returns a "typ" without what makes no difference: case, and the
// prefix that RFC 7515, section 4.1.9, recommends leaving out.
func MediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}
