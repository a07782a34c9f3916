// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/caddy-gluu/gateway/internal/provider/providertest"
	"github.com/caddy-gluu/gateway/internal/token"
)

// A token is revoked while it is being introspected, with the old answer on its
// way.
func TestForgettingIsNotOvertaken(t *testing.T) {
	server := providertest.NewServer(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	server.On("/introspect", func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		providertest.Respond(providertest.Active(""))(w, r)
	})
	app := mustLoad(t, t.TempDir(), fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(introspecting(server))))
	before := make(chan error)
	go func() {
		_, err := verify(t, app, "", "token")
		before <- err
	}()
	<-arrived
	server.On("/introspect", providertest.Respond(`{"active":false}`))
	if _, err := app.ForgetToken(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	// A request that comes now must not get the old answer.
	if _, err := verify(t, app, "", "token"); reasonOf(t, err) != token.Inactive {
		t.Errorf("during the old introspection: got %v", err)
	}
	close(release)
	if err := <-before; err != nil {
		t.Errorf("the request from before: got %v", err)
	}
	if _, err := verify(t, app, "", "token"); reasonOf(t, err) != token.Inactive {
		t.Errorf("after the old introspection: got %v", err)
	}
}

// A forgotten token stays forgotten when a reload brings back the settings with
// which it was once verified.
func TestForgottenTokensDoNotComeBackWithOldSettings(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	dir := t.TempDir()
	load := func(secret string) *App {
		config := introspecting(server)
		config.ClientSecret = secret
		return mustLoad(t, dir, fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(config)))
	}
	if _, err := verify(t, load("old"), "", "token"); err != nil {
		t.Fatal(err)
	}
	if _, err := load("new").ForgetToken(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	server.On("/introspect", providertest.Respond(`{"active":false}`))
	if _, err := verify(t, load("old"), "", "token"); reasonOf(t, err) != token.Inactive {
		t.Errorf("got %v, want it asked about and refused", err)
	}
}
