// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/goleak"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Caddy and certmagic run these for as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*Cache).maintainAssets"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/caddy/v2/modules/caddytls.(*TLS).keepStorageClean.func1"),
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	)
}

// introspecting is a provider that introspects at the fake server and needs no
// discovery.
func introspecting(f *providertest.Server) provider.Config {
	return provider.Config{
		Issuer:                f.URL,
		ClientID:              "gateway",
		ClientSecret:          "client-s3cret",
		Verify:                provider.VerifyIntrospection,
		IntrospectionEndpoint: f.URL + "/introspect",
	}
}

// reasonOf returns the reason of an error of Verify, "" for none.
func reasonOf(t testing.TB, err error) token.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := err.(*token.Error)
	if !ok {
		t.Fatalf("got an error of type %T, want *Error: %v", err, err)
	}
	return e.Reason
}

func seconds(n int) caddy.Duration { return caddy.Duration(time.Duration(n) * time.Second) }
