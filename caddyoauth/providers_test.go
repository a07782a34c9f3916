// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// The pages below docs/providers show settings, metadata and tokens of
// authorization servers. Here these tokens go through a gateway with these
// settings: only the hosts, the times and the signatures are the test's own.

// sent is a request with one of the tokens of a page, and what becomes of it.
type sent struct {
	token         int // of this setup, in the order of the page
	method, path  string
	status        int
	reason        string // of a refusal
	client, scope string // as the upstream is told
}

var vendors = []struct {
	page  string
	setup int // which settings of the page
	sent  []sent
}{
	{"keycloak", 0, []sent{
		{0, "GET", "/todos/1", 200, "", "todo-app", "todos:read profile email realm:default-roles-todo realm:offline_access realm:auditor role:todo-admin"},
		{0, "DELETE", "/todos/1", 200, "", "todo-app", "todos:read profile email realm:default-roles-todo realm:offline_access realm:auditor role:todo-admin"},
		{0, "GET", "/reports", 200, "", "todo-app", "todos:read profile email realm:default-roles-todo realm:offline_access realm:auditor role:todo-admin"},
		{1, "DELETE", "/todos/1", 200, "", "todo-app", "todos:read profile email realm:default-roles-todo realm:offline_access realm:auditor role:todo-admin"},
	}},
	{"auth0", 0, []sent{
		{0, "GET", "/todos/1", 200, "", "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja", "openid profile read:todos can:delete:todos can:read:todos"},
		{0, "DELETE", "/todos/1", 200, "", "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja", "openid profile read:todos can:delete:todos can:read:todos"},
		{1, "GET", "/todos/1", 200, "", "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja", "read:todos"},
		{1, "DELETE", "/todos/1", 403, "scope_missing", "", ""},
	}},
	{"okta", 0, []sent{
		{0, "GET", "/todos/1", 200, "", "0oatodoappclientid5d7", "openid profile todos:read group:Everyone group:todo-admins"},
		{0, "DELETE", "/todos/1", 200, "", "0oatodoappclientid5d7", "openid profile todos:read group:Everyone group:todo-admins"},
		{1, "GET", "/todos/1", 200, "", "0oatodoappclientid5d7", "todos:read"},
		{1, "DELETE", "/todos/1", 403, "scope_missing", "", ""},
	}},
	{"entra", 0, []sent{
		{0, "GET", "/todos/1", 200, "", "535fb089-9ff3-47b6-9bfb-4f1264799865", "Todos.Read Todos.Write"},
		{0, "DELETE", "/todos/1", 403, "scope_missing", "", ""},
		{1, "GET", "/todos/1", 200, "", "535fb089-9ff3-47b6-9bfb-4f1264799865", "role:Todos.Admin"},
		{1, "DELETE", "/todos/1", 200, "", "535fb089-9ff3-47b6-9bfb-4f1264799865", "role:Todos.Admin"},
	}},
	{"entra", 1, []sent{
		{0, "GET", "/todos/1", 200, "", "535fb089-9ff3-47b6-9bfb-4f1264799865", "Todos.Read"},
		{0, "DELETE", "/todos/1", 403, "scope_missing", "", ""},
	}},
	{"cognito", 0, []sent{
		{0, "GET", "/todos/1", 200, "", "57cbishk4j24pabc1234567890", "openid email todo-api/read group:todo-admins"},
		{0, "DELETE", "/todos/1", 200, "", "57cbishk4j24pabc1234567890", "openid email todo-api/read group:todo-admins"},
		{1, "GET", "/todos/1", 401, "token_invalid", "", ""},
	}},
	{"adfs", 0, []sent{
		{0, "GET", "/todos/1", 200, "", "e9f3c0d1-7a4b-4b6e-8f2a-2d5c6b7a8e90", "openid todos.read role:todo-admins"},
		{0, "DELETE", "/todos/1", 200, "", "e9f3c0d1-7a4b-4b6e-8f2a-2d5c6b7a8e90", "openid todos.read role:todo-admins"},
	}},
	{"google", 0, []sent{
		{0, "GET", "/todos/1", 200, "", "104757245938472930184", "sa:scheduler@todo-project.iam.gserviceaccount.com"},
		{0, "POST", "/todos/1", 200, "", "104757245938472930184", "sa:scheduler@todo-project.iam.gserviceaccount.com"},
		{1, "GET", "/todos/1", 401, "token_invalid", "", ""},
	}},
	{"gluu", 0, []sent{
		{0, "GET", "/todos/1", 200, "", "3000.5829c1f8-7554-41ab-a7d6-3513a5e9c4ad", "openid todos.read"},
		{0, "DELETE", "/todos/1", 403, "scope_missing", "", ""},
		{1, "GET", "/todos/1", 200, "", "3000.5829c1f8-7554-41ab-a7d6-3513a5e9c4ad", "openid todos.read"},
		{1, "DELETE", "/todos/1", 403, "scope_missing", "", ""},
	}},
	{"wso2", 0, []sent{
		{0, "GET", "/todos/1", 200, "", "XgO6kUkzGC4YxVcE1zdgy1YMsVwa", "default todos_read"},
		{1, "GET", "/todos/1", 200, "", "XgO6kUkzGC4YxVcE1zdgy1YMsVwa", "default todos_read"},
		{2, "GET", "/todos/1", 200, "", "XgO6kUkzGC4YxVcE1zdgy1YMsVwa", "am_application_scope default todos_read"},
		{2, "DELETE", "/todos/1", 403, "scope_missing", "", ""},
	}},
	{"zitadel", 0, []sent{
		{0, "GET", "/todos/1", 200, "", "163840776969650433", "openid profile todos:read role:163840776835432705:admin"},
		{0, "DELETE", "/todos/1", 200, "", "163840776969650433", "openid profile todos:read role:163840776835432705:admin"},
		{1, "DELETE", "/todos/1", 200, "", "163840776969650433", "role:163840776835432705:admin"},
		{1, "GET", "/todos/1", 403, "scope_missing", "", ""},
	}},
}

func TestTokensAsAuthorizationServersIssueThem(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, vendor := range vendors {
		t.Run(fmt.Sprintf("%s settings %d", vendor.page, vendor.setup+1), func(t *testing.T) {
			s := startVendor(t, readSetups(t, vendor.page)[vendor.setup], key)
			used := map[int]bool{}
			for _, sent := range vendor.sent {
				used[sent.token] = true
				s.check(t, sent)
			}
			if len(used) != len(s.tokens) {
				t.Errorf("%d of %d tokens of the page are sent", len(used), len(s.tokens))
			}
		})
	}
}

// Every page of an authorization server that is reached by HTTP has its rows.
func TestEveryProviderPageIsTested(t *testing.T) {
	pages, err := filepath.Glob("../docs/providers/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatal(pages, err)
	}
	// The embedded server is tested with its page in the root folder.
	tested := map[string]bool{"README": true, "embedded": true}
	for _, vendor := range vendors {
		tested[vendor.page] = true
	}
	for _, page := range pages {
		if name := strings.TrimSuffix(filepath.Base(page), ".md"); !tested[name] {
			t.Errorf("no token of %s is tested: add it to vendors", page)
		}
	}
}

// setup is a configuration on a page, with the metadata and tokens below it.
type setup struct {
	caddyfile string
	metadata  string
	tokens    []vendorToken
}

// vendorToken is the answer to an introspection, or a JWT by header and claims.
type vendorToken struct {
	header map[string]any // nil for an introspection answer
	claims string
}

var fenced = regexp.MustCompile("(?s)```(caddyfile|json)\n(.*?)```")

func readSetups(t *testing.T, page string) (setups []setup) {
	t.Helper()
	text, err := os.ReadFile("../docs/providers/" + page + ".md")
	if err != nil {
		t.Fatal(err)
	}
	var header map[string]any
	for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
		if block[1] == "caddyfile" {
			setups = append(setups, setup{caddyfile: block[2]})
			continue
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(block[2]), &members); err != nil {
			t.Fatalf("%s: %v\n%s", page, err, block[2])
		}
		last := &setups[len(setups)-1]
		switch {
		case members["issuer"] != nil:
			last.metadata = block[2]
		case members["alg"] != nil:
			header = members
		case members["active"] != nil:
			last.tokens = append(last.tokens, vendorToken{nil, block[2]})
		default:
			last.tokens = append(last.tokens, vendorToken{header, block[2]})
		}
	}
	return setups
}

const clientSecret = "a secret of 100%"

// vendorSite is a gateway with the settings of a page.
type vendorSite struct {
	*gateway
	tokens []string
}

// startVendor runs a gateway with the settings of a page, and a server for each
// host that the settings or the metadata name.
func startVendor(t *testing.T, s setup, key *rsa.PrivateKey) *vendorSite {
	t.Helper()
	// A standard server decodes the halves of Basic credentials (RFC 6749, section
	// 2.3.1); WSO2 does not.
	decode := func(secret string) string { secret, _ = url.QueryUnescape(secret); return secret }
	if strings.Contains(s.caddyfile, "client_secret_basic_raw") {
		decode = func(secret string) string { return secret }
	}
	answers := map[string]string{} // to introspection, by token
	documents := map[string]string{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, known := documents["http://"+r.Host+r.URL.Path]
		if r.Method == http.MethodPost {
			if _, secret, _ := r.BasicAuth(); decode(secret) != clientSecret {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			answer, known = answers[r.PostFormValue("token")], true
		}
		if !known {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, answer)
	})

	moved := newHosts(t, s, handler)
	config, metadata := moved.Replace(s.caddyfile), moved.Replace(s.metadata)
	var found struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := json.Unmarshal([]byte(metadata), &found); err != nil {
		t.Fatalf("the page has no metadata: %v", err)
	}
	documents[found.JWKS] = keySet(s.tokens, key)
	documents[metadataAddress(config)] = metadata

	site := &vendorSite{gateway: &gateway{TB: t, dir: t.TempDir(), upstream: newUpstream(t), address: caddytest.FreeAddress(t)}}
	for i, each := range s.tokens {
		claims := atPresent(moved.Replace(each.claims))
		if each.header == nil {
			opaque := fmt.Sprintf("opaque-%d", i)
			answers[opaque] = claims
			site.tokens = append(site.tokens, opaque)
			continue
		}
		site.tokens = append(site.tokens, signRS256(t, key, each.header, claims))
	}

	t.Setenv("CLIENT_SECRET", clientSecret)
	config = strings.Replace(config, "{\n", "{\n"+caddytest.Options(site.dir, "")+"\n", 1)
	config = strings.NewReplacer("\napi.example.com {", "\nhttp://"+site.address+" {", "localhost:9000", site.upstream.Addr().String()).Replace(config)
	caddytest.StopAfter(t)
	if err := caddytest.Run(config, site.address); err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	return site
}

func (s *vendorSite) check(t *testing.T, sent sent) {
	t.Helper()
	got := s.request(sent.method, sent.path, s.tokens[sent.token])
	if got.status != sent.status {
		refused := s.records("request refused")
		t.Errorf("token %d, %s %s: got %d %s, want %d; the log says %v", sent.token, sent.method, sent.path, got.status, got.body, sent.status, refused)
		return
	}
	if sent.status != http.StatusOK {
		if reason := s.lastReason(); reason != sent.reason {
			t.Errorf("token %d, %s %s: got the reason %s, want %s", sent.token, sent.method, sent.path, reason, sent.reason)
		}
		return
	}
	for name, want := range map[string]string{"X-OAuth-Client-ID": sent.client, "X-Authenticated-Scope": sent.scope} {
		if told := strings.Join(got.received(name), "|"); told != want {
			t.Errorf("token %d, %s %s: got %s %q, want %q", sent.token, sent.method, sent.path, name, told, want)
		}
	}
	if names := got.received("X-Consumer-Username"); len(names) != 1 || !strings.HasPrefix(names[0], "todo-") {
		t.Errorf("token %d: got the consumers %q, want the one of the page", sent.token, names)
	}
}

var (
	address    = regexp.MustCompile(`https://([A-Za-z0-9.-]+(?::[0-9]+)?)`)
	endpoint   = regexp.MustCompile(`(?m)^\s*(?:issuer|discovery_url)\s+(\S+)$`)
	hostsLine  = regexp.MustCompile(`(?m)^\s*endpoint_hosts\s+(.+)$`)
	timeMember = regexp.MustCompile(`"(exp|iat|nbf|auth_time)": [0-9]+`)
)

// newHosts starts a server for each host that settings and metadata name as an
// address to fetch from, and returns what replaces the hosts by the servers.
func newHosts(t *testing.T, s setup, handler http.Handler) *strings.Replacer {
	t.Helper()
	hosts := map[string]bool{}
	texts := []string{s.metadata}
	for _, line := range endpoint.FindAllStringSubmatch(s.caddyfile, -1) {
		texts = append(texts, line[1])
	}
	for _, text := range texts {
		for _, found := range address.FindAllStringSubmatch(text, -1) {
			hosts[found[1]] = true
		}
	}
	var pairs []string
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		pairs = append(pairs, "https://"+host, server.URL)
		for _, line := range hostsLine.FindAllStringSubmatch(s.caddyfile, -1) {
			if slices.Contains(strings.Fields(line[1]), host) {
				pairs = append(pairs, " "+host, " "+strings.TrimPrefix(server.URL, "http://"))
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// metadataAddress returns where the gateway looks for metadata.
func metadataAddress(config string) string {
	var place string
	for _, line := range endpoint.FindAllStringSubmatch(config, -1) {
		place = line[1]
		if strings.Contains(line[0], "discovery_url") {
			return place
		}
	}
	return strings.TrimSuffix(place, "/") + "/.well-known/openid-configuration"
}

// atPresent replaces the times of claims.
func atPresent(claims string) string {
	now := time.Now().Unix()
	return timeMember.ReplaceAllStringFunc(claims, func(member string) string {
		name, _, _ := strings.Cut(member, ":")
		at := now - 60
		if name == `"exp"` {
			at = now + 3600
		}
		return fmt.Sprintf("%s: %d", name, at)
	})
}

// keySet is the public key under the names that the tokens give to it, beside one
// of another name.
func keySet(tokens []vendorToken, key *rsa.PrivateKey) string {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	jwk := func(key *rsa.PublicKey, names map[string]any) map[string]any {
		jwk := map[string]any{"kty": "RSA", "use": "sig", "e": base64URL(big.NewInt(int64(key.E)).Bytes()), "n": base64URL(key.N.Bytes())}
		for _, name := range []string{"kid", "x5t"} {
			if value, ok := names[name]; ok {
				jwk[name] = value
			}
		}
		return jwk
	}
	keys := []any{jwk(&other.PublicKey, map[string]any{"kid": "another", "x5t": base64URL(make([]byte, 20))})}
	seen := map[string]bool{}
	for _, token := range tokens {
		if name := fmt.Sprint(token.header["kid"], token.header["x5t"]); token.header != nil && !seen[name] {
			seen[name] = true
			keys = append(keys, jwk(&key.PublicKey, token.header))
		}
	}
	set, _ := json.Marshal(map[string]any{"keys": keys})
	return string(set)
}

func signRS256(t *testing.T, key *rsa.PrivateKey, header map[string]any, claims string) string {
	t.Helper()
	head, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	input := base64URL(head) + "." + base64URL([]byte(claims))
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64URL(signature)
}

func base64URL(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
