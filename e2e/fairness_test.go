// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// embeddedSite is a gateway that verifies the tokens of its own server.
const embeddedSite = `
{
	gluu {
		provider {
			issuer {$SITE}
			client_id gateway
			client_secret todo-app-secret
			verify introspection
		}
	}
}
{$SITE} {
	gluu_oauth_server {
		issuer {$SITE}
		scopes todos:read
		client gateway {
			secret HASH1
		}
		client todo-app {
			secret HASH2
			grants client_credentials
			scopes todos:read
		}
	}
	gluu_oauth_auth {
		consumer_mapping false
	}
	respond passed
}
`

// While 300 connections try secrets, for clients that exist and for others, from
// the network of everyone else, a client that comes with the right one for the
// first time is served within a second, and so is the API, for which the gateway's
// own client asks.
func TestSec_WrongSecretsLockNobodyOut(t *testing.T) {
	t.Parallel()
	hash := func() string {
		output, ok := harness.RunCaddyWithInput(t, harness.GatewayConfig{}, "todo-app-secret\n", "gluu", "hash-secret")
		if !ok {
			t.Fatal(output)
		}
		return strings.TrimSpace(output)
	}
	g := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.NewReplacer("HASH1", hash(), "HASH2", hash()).Replace(embeddedSite),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	var tried sync.WaitGroup
	for i := range 300 {
		tried.Add(1)
		wait.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			first := sync.OnceFunc(tried.Done)
			defer first()
			for n := 0; ctx.Err() == nil; n++ {
				id := []string{"todo-app", "gateway", fmt.Sprint("unknown-", i)}[i%3]
				_, _ = token(ctx, client, g.Addr, id, fmt.Sprint("wrong-", i, "-", n))
				first()
			}
		})
	}
	tried.Wait()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	start := time.Now()
	granted, err := token(t.Context(), client, g.Addr, "todo-app", "todo-app-secret")
	if took := time.Since(start); err != nil || took > time.Second {
		t.Fatalf("the right secret: got %v after %s, want a token within a second", err, took)
	}
	start = time.Now()
	response := g.Get("/api", harness.Bearer(granted))
	if took := time.Since(start); response.Status != http.StatusOK || took > time.Second {
		t.Errorf("the API: got %s after %s, want 200 within a second", response, took)
	}
}

// token asks for a token by client credentials.
func token(ctx context.Context, client *http.Client, addr, id, secret string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s (%w)", response.StatusCode, body, err)
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	return answer.Token, json.Unmarshal(body, &answer)
}
