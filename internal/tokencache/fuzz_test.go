// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"reflect"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// FuzzRecord looks for a token that becomes another one on its way to another
// gateway.
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{
		`{}`, active(""), active(`"exp":1700000000`), active(`"exp":1e18`), active(`"cnf":{"jkt":"k"}`), active(`"cnf":[]`),
		`{"scope":"a\u0020b\u00a0c","sub":"\ud83d\ude00"}`, `{"scope":["a","b"],"client_id":"<&>"}`, `{"exp":0}`, `{"exp":-1}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		claims, err := jose.ParseObject([]byte(text))
		if err != nil {
			return
		}
		verifiedAt := time.Unix(1_700_000_000, 0)
		want, err := token.FromClaims(claims, token.Mapping{})
		if err != nil || want.Expired(verifiedAt) { // no verifier shares such a token
			return
		}
		want.ClaimsJSON = text
		record, err := encodeRecord(want, verifiedAt)
		if err != nil {
			t.Fatal(err)
		}
		got, at, err := decodeRecord(record)
		if err != nil || !at.Equal(verifiedAt) {
			t.Fatalf("read back at %s: %v", at, err)
		}
		if got.Subject != want.Subject || got.ClientID != want.ClientID || got.ExpiresAt.Unix() != want.ExpiresAt.Unix() ||
			len(got.Scopes) != len(want.Scopes) || len(want.Scopes) > 0 && !reflect.DeepEqual(got.Scopes, want.Scopes) ||
			!reflect.DeepEqual(got.Confirmation, want.Confirmation) {
			t.Errorf("%+v became %+v", want, got)
		}
		a, _ := want.Claims()
		if b, err := got.Claims(); err != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("the claims %v became %v, %v", a, b, err)
		}
	})
}
