// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// The settings of docs/providers/embedded.md issue a token, and let it through;
// its introspection has the members that the page shows.
func TestTheEmbeddedServersPage(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("CLIENT_SECRET", "gateway-secret")
	page, err := os.ReadFile("docs/providers/embedded.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) string {
		return regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(string(page))[1]
	}
	storage := t.TempDir() // has the key of the server's file
	for _, format := range []string{"opaque", "jwt"} {
		address := caddytest.FreeAddress(t)
		config := strings.NewReplacer(
			"https://api.example.com", "http://"+address,
			"\napi.example.com {", "\nhttp://"+address+" {",
			"token_format opaque", "token_format "+format,
			"reverse_proxy localhost:9000", `respond "{header.X-Consumer-Username}"`,
			"path /todos/??", "path /api",
		).Replace(block("caddyfile"))
		config = strings.Replace(config, "{\n", "{\n"+caddytest.Options(storage, "")+"\n", 1)
		if err := caddytest.Run(config, address); err != nil {
			t.Fatal(err)
		}
		caddytest.StopAfter(t)
		issued := post(t, "http://"+address+"/oauth2/token", "todo-app-client", "todo-app-secret", url.Values{"grant_type": {"client_credentials"}, "scope": {"todos:read"}})
		token, _ := issued["access_token"].(string)
		await(t, address, token, http.StatusOK)
		if status, body := get(address, token); status != http.StatusOK || body != "todo-app" {
			t.Errorf("%s: got %d %s, want 200 todo-app", format, status, body)
		}
		if format != "opaque" {
			continue
		}
		var shown map[string]any
		if err := json.Unmarshal([]byte(block("json")), &shown); err != nil {
			t.Fatal(err)
		}
		answer := post(t, "http://"+address+"/oauth2/introspect", "gateway", "gateway-secret", url.Values{"token": {token}})
		if got, want := slices.Sorted(maps.Keys(answer)), slices.Sorted(maps.Keys(shown)); !slices.Equal(got, want) {
			t.Errorf("the introspection has %v, the page shows %v", got, want)
		}
		if answer["sub"] != shown["sub"] || answer["scope"] != shown["scope"] || answer["client_id"] != shown["client_id"] {
			t.Errorf("the introspection is %v, the page shows %v", answer, shown)
		}
	}
}

func post(t *testing.T, address, id, secret string, form url.Values) map[string]any {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(id, secret)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v, %v", address, response.Status, answer, err)
	}
	return answer
}
