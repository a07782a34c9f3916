// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// FuzzIntrospectionAnswer looks for answers that panic, and for answers that
// are taken for a verified token although another reader would not see
// `active: true` in them.
func FuzzIntrospectionAnswer(f *testing.F) {
	for _, seed := range []string{
		providertest.Active(""), `{"active":false}`, `{"active":"true"}`, `{"active":true,"exp":1e308}`, `{"active":true,"exp":-1}`,
		`{"active":true,"scope":["a","b"],"aud":["x"],"cnf":{"jkt":"k"}}`, `{"active":true,"active":false}`,
		`{"active":true,"scope":"a\u0020b\u00a0c","sub":"\ud800"}`, `{"ACTIVE":true}`, `{"active":true}garbage`,
		strings.Repeat(`{"active":`, 50) + "true" + strings.Repeat("}", 50),
	} {
		f.Add(seed)
	}
	p := providerFor(f, provider.Config{
		Issuer: "https://as.example", ClientID: "g", ClientAuth: provider.ClientAuthNone, Verify: provider.VerifyIntrospection,
		IntrospectionEndpoint: "https://as.example/introspect",
	}, tokencache.Settings{})
	f.Fuzz(func(t *testing.T, body string) {
		claims, err := p.readUnsigned(&provider.Answer{Status: http.StatusOK, MediaType: "application/json", Body: []byte(body)})
		if err != nil {
			return
		}
		verified, err := p.validateResponse(claims, []byte(body))
		if err != nil {
			if reasonOf(t, err) == "" {
				t.Errorf("an error without a reason: %v", err)
			}
			return
		}
		var other map[string]any
		if err := json.Unmarshal([]byte(body), &other); err != nil || other["active"] != true {
			t.Errorf("verified, but encoding/json reads %v, %v", other["active"], err)
		}
		if verified.Expired(time.Now()) {
			t.Errorf("verified, but expired at %v", verified.ExpiresAt)
		}
		for _, scope := range verified.Scopes {
			if scope == "" || strings.Contains(scope, " ") {
				t.Errorf("got scope %q", scope)
			}
		}
		if _, ok := other["cnf"]; ok && verified.Confirmation == nil {
			t.Error("a bound token became a plain one")
		}
	})
}
