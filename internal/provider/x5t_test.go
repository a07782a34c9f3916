// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/jose"
)

// A token that names its key by the thumbprint of its certificate alone is checked
// with that one of several keys.
func TestKeysByThumbprint(t *testing.T) {
	key := func(alg, kid, more string) jose.Key {
		t.Helper()
		text, err := json.Marshal(providertest.IssuerKeys()[alg].Public())
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		members["kid"] = kid
		if err := json.Unmarshal([]byte(more), &members); err != nil {
			t.Fatal(err)
		}
		if text, err = json.Marshal(members); err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	certificate := []byte("not looked into")
	sum1, sum256 := sha1.Sum(certificate), sha256.Sum256(certificate)
	x5c := fmt.Sprintf(`{"x5c":[%q]}`, base64.StdEncoding.EncodeToString(certificate))
	x5t, x5t256 := base64.RawURLEncoding.EncodeToString(sum1[:]), base64.RawURLEncoding.EncodeToString(sum256[:])

	second, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	plain := second.Public().WithID("plain")
	byMember, byChain := key("ES256", "member", `{"x5t":"AAAA+/=="}`), key("ES256", "chain", x5c)
	for name, c := range map[string]struct {
		keys StaticKeys
		name jose.KeyName
		want string // kid
		err  error
	}{
		"by member":                        {StaticKeys{plain, byMember}, jose.KeyName{X5T: "AAAA-_"}, "member", nil},
		"by member, other alphabet":        {StaticKeys{plain, byMember}, jose.KeyName{X5T: "AAAA+/=="}, "member", nil},
		"by certificate":                   {StaticKeys{plain, byChain}, jose.KeyName{X5T: x5t}, "chain", nil},
		"by certificate, SHA-256":          {StaticKeys{plain, byChain}, jose.KeyName{X5TS256: x5t256}, "chain", nil},
		"by both":                          {StaticKeys{plain, byChain}, jose.KeyName{X5T: x5t, X5TS256: x5t256}, "chain", nil},
		"both must be right":               {StaticKeys{byChain}, jose.KeyName{X5T: x5t, X5TS256: "AAAA"}, "", ErrUnknownKey},
		"kid goes first":                   {StaticKeys{plain, byChain}, jose.KeyName{KeyID: "plain", X5T: x5t}, "plain", nil},
		"none has it":                      {StaticKeys{byMember, byChain}, jose.KeyName{X5T: "BBBB"}, "", ErrUnknownKey},
		"none has it, one has none at all": {StaticKeys{byMember, plain}, jose.KeyName{X5T: "BBBB"}, "plain", nil},
		"no key has any":                   {StaticKeys{plain}, jose.KeyName{X5T: "BBBB"}, "plain", nil},
		"several without":                  {StaticKeys{plain, key("ES256", "x", `{}`)}, jose.KeyName{X5T: "BBBB"}, "", ErrAmbiguousKey},
		"no name, two keys":                {StaticKeys{plain, byChain}, jose.KeyName{}, "", ErrAmbiguousKey},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.keys.find(c.name, "ES256")
			if !errors.Is(err, c.err) || got.ID() != c.want {
				t.Errorf("got key %q, %v, want %q, %v", got.ID(), err, c.want, c.err)
			}
		})
	}
}
