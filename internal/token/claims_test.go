// SPDX-License-Identifier: Apache-2.0

package token

import (
	"reflect"
	"testing"

	"github.com/caddy-gluu/gateway/jose"
)

// What a token is bound to comes from its claims, and whatever is not understood
// there is bound all the same.
func TestConfirmations(t *testing.T) {
	for text, want := range map[string]*Confirmation{
		`{}`:                               nil,
		`{"cnf":null}`:                     nil,
		`{"token_type":"Bearer"}`:          nil,
		`{"cnf":{"jkt":"a"}}`:              {JKT: "a"},
		`{"cnf":{"x5t#S256":"b"}}`:         {X5T: "b"},
		`{"cnf":{"jkt":"a","kid":"x"}}`:    {JKT: "a"},
		`{"cnf":{"jwk":{"kty":"EC"}}}`:     {},
		`{"cnf":{"JKT":"a"}}`:              {},
		`{"cnf":{}}`:                       {},
		`{"cnf":"a"}`:                      {},
		`{"cnf":[]}`:                       {},
		`{"cnf":false}`:                    {},
		`{"token_type":"DPoP"}`:            {},
		`{"token_type":"dpop","cnf":null}`: {},
	} {
		o, err := jose.ParseObject([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := confirmationOf(o)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
}
