// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/optest"
)

const umaStoreCaddyfile = `
{
	gluu {
		provider {
			issuer {$ISSUER}
			introspection_endpoint {$ISSUER}/introspect
			client_id gateway
			client_secret gateway-secret
			audience gateway
			verify introspection
		}
		provider login {
			issuer {$LOGIN}
			client_id web
			client_secret web-secret
		}
		session {
			store redis {$REDIS} {
				key {$KEY}
			}
		}
	}
}
http://:{$PORT} {
	bind 127.0.0.1
	gluu_openid_connect login {
		base_url {$BASE_URL}
	}
	gluu_uma_pep {
		obtain_rpt
		pushed_claims id_token
		path / {
			GET authenticated
		}
		path /todos {
			GET scope todos:view
		}
		path /notes {
			GET scope notes:view
		}
	}
	reverse_proxy {$UPSTREAM}
}
`

// Two people in turn, with different permissions, over two gateways that share
// their sessions: each has their own permission on both, and it is asked for once.
func TestSec_S170_S181_PermissionsOverTwoGateways(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	server := harness.StartUMAServer(t, harness.UMAConfig{})
	server.Allow("alice", "todos:view")
	server.Allow("bob", "notes:view")
	op := optest.New(t)
	front := harness.StartRelay(t, "127.0.0.1:9")
	base := "http://" + front.Addr
	op.Client.RedirectURIs = []string{base + "/callback"}
	config := harness.GatewayConfig{
		Caddyfile: umaStoreCaddyfile,
		Env: map[string]string{
			"ISSUER": server.Issuer, "LOGIN": op.Issuer(), "REDIS": "redis://" + redis.Addr, "KEY": storeKey, "BASE_URL": base, "UPSTREAM": harness.StartUpstream(t).Addr,
		},
	}
	gateways := []*harness.Gateway{harness.StartGateway(t, config), harness.StartGateway(t, config)}
	harness.Eventually(t, 30*time.Second, func() string {
		if n := len(server.Resources()); n != 2 {
			return fmt.Sprintf("%d resources are registered", n)
		}
		return ""
	})

	logIn := func(name string) harness.Field {
		t.Helper()
		op.Lock()
		op.User.Subject = name
		op.Unlock()
		front.ForwardTo(gateways[0].Addr)
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequest(http.MethodGet, base+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", "text/html")
		response, err := (&http.Client{Jar: jar, Timeout: time.Minute}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var cookies []string
		for _, cookie := range jar.Cookies(request.URL) {
			cookies = append(cookies, cookie.Name+"="+cookie.Value)
		}
		if response.StatusCode != http.StatusOK || len(cookies) == 0 {
			t.Fatalf("%s cannot log in: %s", name, response.Status)
		}
		return harness.Field{Name: "Cookie", Value: strings.Join(cookies, "; ")}
	}
	alice, bob := logIn("alice"), logIn("bob")
	for range 2 {
		for i, g := range gateways {
			for _, want := range []struct {
				name, path string
				cookie     harness.Field
				status     int
			}{
				{"alice", "/todos", alice, 200}, {"bob", "/todos", bob, 403},
				{"alice", "/notes", alice, 403}, {"bob", "/notes", bob, 200},
			} {
				r := askWith(g, want.path, want.cookie)
				if r.Status != want.status {
					t.Errorf("%s at %s of gateway %d: got %s, want %d", want.name, want.path, i, r, want.status)
				}
				if echo := r.Echo(); echo != nil && echo.Value("X-Authenticated-Userid") != want.name {
					t.Errorf("%s at %s of gateway %d: the upstream was told of %q", want.name, want.path, i, echo.Value("X-Authenticated-Userid"))
				}
			}
		}
	}
	for _, sent := range server.RPTRequests() {
		if sent.Has("rpt") {
			t.Errorf("an RPT was shown for another rule or person: %v", sent)
		}
	}
	// Each permission was asked for once, by the gateway that needed it first; what
	// was denied is remembered by each gateway.
	if n := server.Count("rpt"); n != 2+2*2 {
		t.Errorf("%d token requests, want 2 for what was granted and 2 for each of the 2 that were denied", n)
	}
}
