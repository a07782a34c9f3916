// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

func refreshOf(tokens map[string]any, others ...any) request {
	return request{path: "/oauth2/token", params: with(map[string]any{
		"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "steps", "client_secret": "steps-secret",
	}, others...)}
}

func TestSec_S202_S233_ARefreshTokenIsUsedOnceByItsOwner(t *testing.T) {
	f := newFixture(t, all())
	tokens := f.tokens()
	status, body := f.ask(refreshOf(tokens, "client_id", "two", "client_secret", "two-secret"))
	if status != http.StatusBadRequest {
		t.Errorf("another client: got %d", status)
	}
	wantMatch(t, body, fault("invalid_client", "Invalid client authentication"))

	status, renewed := f.ask(refreshOf(tokens))
	if status != http.StatusOK {
		t.Fatalf("got %d %v", status, renewed)
	}
	wantMatch(t, renewed, andRefresh)
	if renewed["refresh_token"] == tokens["refresh_token"] || renewed["access_token"] == tokens["access_token"] {
		t.Errorf("the tokens did not change: %v", renewed)
	}
	if f.isActive(tokens["access_token"]) || !f.isActive(renewed["access_token"]) {
		t.Error("the access token before is active, or the new one is not")
	}
	status, body = f.ask(refreshOf(tokens))
	if status != http.StatusBadRequest {
		t.Errorf("a second time: got %d", status)
	}
	wantMatch(t, body, fault("invalid_request", "Invalid refresh_token"))
	if f.isActive(renewed["access_token"]) {
		t.Error("a refresh token that was used twice leaves its successors active")
	}
	if last := f.refusals[len(f.refusals)-1]; last.Reason != authcore.ReasonRefreshReused || last.Fault.Grant == nil || last.Fault.Grant.Subject != "ann" {
		t.Errorf("got the record %+v", last)
	}
}

func TestARefreshTokenThatIsReused(t *testing.T) {
	profile := all()
	profile.ReuseRefreshToken = true
	f := newFixture(t, profile)
	tokens := f.tokens()
	for range 3 {
		status, renewed := f.ask(refreshOf(tokens))
		if status != http.StatusOK || renewed["refresh_token"] != tokens["refresh_token"] {
			t.Fatalf("got %d %v, want the same refresh token", status, renewed)
		}
		if f.isActive(tokens["access_token"]) || !f.isActive(renewed["access_token"]) {
			t.Error("the access token before is active, or the new one is not")
		}
		tokens = renewed
	}
	f.offset.Add(int64(defaultRefreshTTL + time.Minute))
	if status, body := f.ask(refreshOf(tokens)); status != http.StatusBadRequest {
		t.Errorf("after two weeks: got %d %v", status, body)
	}
}

func TestRefreshTokensLastAsConfigured(t *testing.T) {
	short := all()
	second := caddy.Duration(time.Hour)
	short.RefreshTokenTTL = &second
	f := newFixture(t, short)
	tokens := f.tokens()
	f.offset.Add(int64(61 * time.Minute))
	if status, body := f.ask(refreshOf(tokens)); status != http.StatusBadRequest {
		t.Errorf("after its time: got %d %v", status, body)
	}
	never := all()
	never.RefreshTokenTTL = new(caddy.Duration)
	f = newFixture(t, never)
	tokens = f.tokens()
	f.offset.Add(int64(10 * 365 * 24 * time.Hour))
	if status, body := f.ask(refreshOf(tokens)); status != http.StatusOK {
		t.Errorf("after ten years without an end: got %d %v", status, body)
	}
}

// As in Kong, a grant with a scope that the plugin no longer has is not renewed. By the
// standards the token goes without it.
func TestAScopeThatIsGone(t *testing.T) {
	for responses, want := range map[string]int{kongResponses: http.StatusBadRequest, rfcResponses: http.StatusOK} {
		profile := all()
		profile.Responses = responses
		f := newFixture(t, profile)
		_, tokens := f.ask(request{path: "/oauth2/token", params: exchange(f.code("scope", "step_counts profile"))})
		before := f.Scopes
		f.Scopes = []string{"step_counts"}
		status, body := f.ask(refreshOf(tokens))
		if status != want {
			t.Errorf("%s: got %d %v, want %d", responses, status, body, want)
		}
		if responses == rfcResponses {
			if body["scope"] != "step_counts" {
				t.Errorf("got the scope %v", body["scope"])
			}
			continue
		}
		wantMatch(t, body, fault("invalid_scope", "Scope mismatch"))
		f.Scopes = before
		if status, body := f.ask(refreshOf(tokens)); status != http.StatusOK {
			t.Errorf("once the scope is back: got %d %v", status, body)
		}
	}
}

// A code or refresh token that comes a second time ends the grant, whatever else is wrong with
// the request.
func TestSec_S201_S202_AReuseIsNoticedBeforeAnythingElse(t *testing.T) {
	lost := *clients[0]
	lost.Grants = []string{authcore.GrantClientCredentials}
	moved := *clients[0]
	moved.RedirectURIs = nil
	const elsewhere = "https://evil.example/"
	for _, test := range []struct {
		name   string
		spoil  func(*fixture, map[string]any)
		client *authcore.Client // as it is by then
	}{
		{"a foreign redirect URI", func(_ *fixture, params map[string]any) { params["redirect_uri"] = elsewhere }, nil},
		{"a scope that is gone", func(f *fixture, _ map[string]any) { f.Scopes = []string{"profile"} }, nil},
		{"a grant that the client lost", func(*fixture, map[string]any) {}, &lost},
		{"a client that lost its redirect URIs", func(*fixture, map[string]any) {}, &moved},
		{"a wrong verifier", func(_ *fixture, params map[string]any) { params["code_verifier"] = "short" }, nil},
	} {
		for _, responses := range []string{kongResponses, rfcResponses} {
			for _, grant := range []string{"authorization_code", "refresh_token"} {
				t.Run(test.name+", "+grant+", "+responses, func(t *testing.T) {
					profile := all()
					profile.Responses = responses
					f := newFixture(t, profile)
					find := f.FindClient
					f.FindClient = func(ctx context.Context, id string) (*authcore.Client, error) {
						if test.client != nil && id == test.client.ClientID {
							return test.client, nil
						}
						return find(ctx, id)
					}
					client := test.client
					test.client = nil // until the tokens are there
					code := f.code()
					_, tokens := f.ask(request{path: "/oauth2/token", params: exchange(code)})
					used := exchange(code)
					if grant == "refresh_token" {
						used = refreshOf(tokens).params
						_, tokens = f.ask(request{path: "/oauth2/token", params: used})
					}
					if !f.isActive(tokens["access_token"]) {
						t.Fatal("there are no tokens to lose")
					}
					test.client = client
					test.spoil(f, used)
					if status, body := f.ask(request{path: "/oauth2/token", params: used}); status != http.StatusBadRequest && status != http.StatusUnauthorized {
						t.Errorf("got %d %v", status, body)
					}
					if f.isActive(tokens["access_token"]) {
						t.Error("the grant goes on after a reuse")
					}
					if last := f.refusals[len(f.refusals)-1]; last.Reason != authcore.ReasonCodeReused && last.Reason != authcore.ReasonRefreshReused {
						t.Errorf("the log says %q", last.Reason)
					}
				})
			}
		}
	}
}

// A caller that has not authenticated ends nothing: a token in the log of a proxy is not a weapon.
func TestAReuseWithoutAuthenticationEndsNothing(t *testing.T) {
	f := newFixture(t, all())
	code := f.code()
	_, tokens := f.ask(request{path: "/oauth2/token", params: exchange(code)})
	for _, params := range []map[string]any{exchange(code, "client_secret", "wrong"), exchange(code, "client_id", "two", "client_secret", "two-secret"), exchange(code, "client_id", "nobody")} {
		f.ask(request{path: "/oauth2/token", params: params})
	}
	if !f.isActive(tokens["access_token"]) {
		t.Error("a caller who has not authenticated has ended a grant")
	}
}
