// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/optest"

	_ "github.com/caddy-gluu/gateway/caddyoidc"
)

// The tests of the UMA client run a gateway with an OpenID Provider and the UMA
// server that insists on what the standards say.

// clientSite is a site whose people log in.
type clientSite struct {
	*site
	op    *optest.OP
	login string // options of gluu_openid_connect

	register string // in place of the credentials of the UMA client; "" for these
}

const clientConfig = `{
	%[1]s
	gluu {
		provider {
			issuer %[2]s
			introspection_endpoint %[2]s/introspect
			%[7]s
			audience gateway
			verify introspection
			timeout 2s
		}
		provider login {
			issuer %[3]s
			client_id web
			client_secret web-secret
		}
	}
}
http://%[4]s {
	gluu_openid_connect login {
		logout_path /logout
		post_logout_redirect_path_or_url /goodbye
		%[6]s
	}
	gluu_uma_pep {
		path /goodbye {
			GET public
		}
		%[5]s
	}
	respond "passed {gluu.subject}"
}
`

// rpts is how most tests obtain tokens: the server knows a person by the ID token.
const rpts = `obtain_rpt
		pushed_claims id_token
		path /todos {
			GET scope todos:view
			POST scope todos:edit
		}
		path /notes {
			GET scope notes:view
		}
		path /profile {
			GET authenticated
		}
`

func startClient(t *testing.T, server harness.UMAConfig, rules string) *clientSite {
	t.Helper()
	c := newClientSite(t, server)
	c.run(rules)
	return c
}

// newClientSite is startClient without a configuration.
func newClientSite(t *testing.T, server harness.UMAConfig) *clientSite {
	t.Helper()
	c := &clientSite{op: optest.New(t)}
	if server.UserOf == nil {
		server.UserOf = c.op.SubjectOf
	}
	c.site = &site{TB: t, server: harness.StartUMAServer(t, server), dir: t.TempDir(), addr: caddytest.FreeAddress(t)}
	c.op.Client.RedirectURIs = []string{"http://" + c.addr + "/callback"}
	c.op.Client.PostLogout = []string{"http://" + c.addr + "/goodbye"}
	t.Setenv("XDG_DATA_HOME", c.dir)
	caddytest.StopAfter(t)
	return c
}

// run loads rules and waits until the resources are registered.
func (c *clientSite) run(rules string) {
	c.Helper()
	c.load(rules)
	c.awaitResources(strings.Count(rules, " scope "))
}

// load loads rules.
func (c *clientSite) load(rules string) {
	c.Helper()
	if err := caddytest.Run(c.source(rules), c.addr); err != nil {
		c.Fatal(err)
	}
}

// source is the Caddyfile with rules.
func (c *clientSite) source(rules string) string {
	client := cmp.Or(c.register, "client_id gateway\nclient_secret gateway-secret")
	return fmt.Sprintf(clientConfig, caddytest.Options(c.dir, ""), c.server.Issuer, c.op.Issuer(), c.addr, rules, c.login, client)
}

// awaitResources waits until the server has a number of resources.
func (c *clientSite) awaitResources(want int) {
	c.Helper()
	harness.Eventually(c, 30*time.Second, func() string {
		if n := len(c.server.Resources()); n < want {
			return fmt.Sprintf("%d of %d resources are registered", n, want)
		}
		return ""
	})
}

// visitor is a person with a browser of their own.
type visitor struct {
	*clientSite
	name   string
	client *http.Client
}

// visitor logs a person in.
func (c *clientSite) visitor(name string) *visitor {
	c.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.Fatal(err)
	}
	v := &visitor{c, name, &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	c.op.Lock()
	c.op.User.Subject = name
	c.op.Unlock()
	if a := v.open("/profile"); a.body != "passed "+name {
		c.Fatalf("%s cannot log in: %+v", name, a)
	}
	return v
}

var (
	navigation = http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {"text/html"}}
	script     = http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}, "Accept": {"application/json"}}
)

func (v *visitor) do(method, address string, header http.Header) answer {
	v.Helper()
	if strings.HasPrefix(address, "/") {
		address = "http://" + v.addr + address
	}
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		v.Fatal(err)
	}
	req.Header = header.Clone()
	res, err := v.client.Do(req)
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// open opens a page, and follows redirects.
func (v *visitor) open(address string) answer { v.Helper(); return v.do("GET", address, navigation) }

// fetch is a request of a script.
func (v *visitor) fetch(method, path string) answer { v.Helper(); return v.do(method, path, script) }

// passes sends a request that must reach the upstream.
func (v *visitor) passes(path string) {
	v.Helper()
	if a := v.fetch("GET", path); a.status != 200 || a.body != "passed "+v.name {
		v.Errorf("%s at %s: got %d %s, want it to pass", v.name, path, a.status, a.body)
	}
}

// refused sends a request of a script that must be refused with an error code.
func (v *visitor) refused(path string, status int, code string) answer {
	v.Helper()
	a := v.fetch("GET", path)
	if a.status != status || !strings.Contains(a.body, `"error":"`+code+`"`) {
		v.Errorf("%s at %s: got %d %s, want %d %s", v.name, path, a.status, a.body, status, code)
	}
	return a
}

// later has the time of this process's memory of denials pass.
func (c *clientSite) later(d time.Duration) {
	authorities.Range(func(_, value any) bool {
		a := value.(*authority)
		now := a.now
		a.now = func() time.Time { return now().Add(d) }
		return true
	})
}
