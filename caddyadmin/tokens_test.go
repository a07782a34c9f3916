// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

func TestTokensAreForgotten(t *testing.T) {
	tests := []struct {
		target, body string
		forgotten    string // the tokens that are introspected again
		evicted      int
	}{
		{"/gluu/tokens", "", "a1 a2 b1 slash bad", 4},
		{"/gluu/tokens/client/app-a", "", "a1 a2", 2},
		{"/gluu/tokens/client/app-b", "", "b1", 1},
		{"/gluu/tokens/client/app", "", "", 0},
		{"/gluu/tokens/client/APP-A", "", "", 0},
		{"/gluu/tokens/client/https%3A%2F%2Fclient.example%2Fx", "", "slash", 1},
		{"/gluu/tokens/subject/2", "", "a2", 1},
		{"/gluu/tokens/token", "a1", "a1", 1},
		{"/gluu/tokens/token", "a1\r\n", "a1", 1},
		{"/gluu/tokens/token", "bad", "bad", 0},
		{"/gluu/tokens/token", "a", "", 0},
	}
	claims := map[string]string{
		"a1": `"client_id":"app-a","sub":"1"`, "a2": `"client_id":"app-a","sub":"2"`,
		"b1": `"client_id":"app-b","sub":"1"`, "slash": `"client_id":"https://client.example/x","sub":"3"`,
	}
	answer := func(w http.ResponseWriter, r *http.Request) {
		body := `{"active":false}`
		if of, ok := claims[r.PostForm.Get("token")]; ok {
			body = `{"active":true,` + of + `}`
		}
		respond(200, "application/json", body)(w, r)
	}
	for _, test := range tests {
		t.Run(test.target+" "+test.body, func(t *testing.T) {
			s := newIntrospector(t, answer)
			p, _ := loadWith(t, s)
			tokens := []string{"a1", "a2", "b1", "slash", "bad"}
			verifyAll := func() {
				for _, token := range tokens {
					_, _ = p.Verify(t.Context(), token)
				}
			}
			verifyAll()
			status, body := caddytest.Admin(t, "DELETE", test.target, test.body)
			if want := fmt.Sprintf("{\"evicted\":%d}\n", test.evicted); status != 200 || body != want {
				t.Fatalf("got %d %s, want %s", status, body, want)
			}
			verifyAll()
			for _, token := range tokens {
				want := 1
				if strings.Contains(" "+test.forgotten+" ", " "+token+" ") {
					want = 2
				}
				if n := s.timesAsked(token); n != want {
					t.Errorf("%s was introspected %d times, want %d", token, n, want)
				}
			}
		})
	}
}
