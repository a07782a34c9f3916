// SPDX-License-Identifier: Apache-2.0

package caddyoidc_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// recorder is a handler of events.
type recorder struct{}

var recorded = make(chan caddy.Event, 100)

func init() { caddy.RegisterModule(recorder{}) }

func (recorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.recorder", New: func() caddy.Module { return new(recorder) }}
}

func (*recorder) Handle(_ context.Context, e caddy.Event) error {
	recorded <- e
	return nil
}

func (*recorder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func TestLoginsAndLogoutsAreEvents(t *testing.T) {
	s := newSite(t)
	source := fmt.Sprintf(`{
	%s
	events {
		on gluu.logged_in recorder
		on gluu.logged_out recorder
		on gluu.refused recorder
	}
	gluu {
		provider {
			issuer %s
			client_id web
			client_secret web-secret
		}
	}
}
http://%s {
	gluu_openid_connect {
		logout_path /logout
		post_logout_redirect_path_or_url /goodbye
	}
	respond ok
}`, caddytest.Options(s.dir, ""), s.op.Issuer(), s.address)
	if err := caddytest.Run(source, s.address); err != nil {
		t.Fatal(err)
	}
	person := s.browser()
	s.get(person, "/callback?state=made-up&code=c", nil) // a page
	s.get(person, "/a", program)                         // not a page
	s.get(person, "/a", nil)
	s.get(person, "/logout", nil)
	for _, want := range []map[string]any{
		{"name": "gluu.refused", "reason": "login_state_unknown", "status": 400},
		{"name": "gluu.refused", "reason": "login_required", "status": 401},
		{"name": "gluu.logged_in", "provider": "default", "issuer": s.op.Issuer(), "subject": "alice", "acr": "silver", "step_up": false, "client_ip": "127.0.0.1"},
		{"name": "gluu.logged_out", "provider": "default", "issuer": s.op.Issuer(), "subject": "alice", "kind": "rp", "sessions": 1},
	} {
		select {
		case e := <-recorded:
			if e.Name() != want["name"] {
				t.Fatalf("got event %s with %v, want %v", e.Name(), e.Data, want)
			}
			for name, value := range want {
				if got := e.Data[name]; name != "name" && got != value {
					t.Errorf("%s: %s is %v (%T), want %v", e.Name(), name, got, got, value)
				}
			}
			if strings.Contains(fmt.Sprint(e.Data), "made-up") {
				t.Errorf("%s has a state: %v", e.Name(), e.Data)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no event, want %v", want)
		}
	}
}
