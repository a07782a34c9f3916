// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
)

const adminIssuer = "https://auth.example.com"

// oauthTest is the admin endpoint of an authorization server.
type oauthTest struct {
	consumerAdmin
	admin *oauthAdmin
	store *authcore.Store
}

func newAuthStore(t testing.TB) *authcore.Store {
	t.Helper()
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	records, err := store.New(engine, store.Options{Secrets: []string{strings.Repeat("k", 32)}, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { records.Close() })
	return authcore.New(records, nil)
}

func newOAuthTest(t testing.TB) *oauthTest {
	a := &oauthTest{consumerAdmin: newConsumerAdmin(t, consumer.Consumer{Username: "fixed", CustomID: "gateway"}), store: newAuthStore(t)}
	a.admin = &oauthAdmin{directory: a.directory, hash: func(secret []byte) (string, error) {
		if len(secret) > 100 {
			return "", errors.New("the secret is too long")
		}
		return "hash of " + string(secret), nil
	}}
	a.admin.servers = []oauthServer{{
		Issuer: adminIssuer, Scopes: []string{"read", "write"}, Resources: []string{"https://api.example.com"},
		Grants: []string{"authorization_code", "client_credentials", "refresh_token"}, Store: a.store,
		Clients: map[string]*authcore.Client{"gateway": {ClientID: "gateway"}, "app": {ClientID: "app", Consumer: "fixed"}},
		Find: func(ctx context.Context, text string) (*authcore.AccessToken, error) {
			return a.store.FindToken(ctx, adminIssuer, text)
		},
	}}
	routes := new(notFound).Routes()
	for _, table := range []map[string]oauthHandler{credentialRoutes, tokenRoutes, grantRoutes} {
		for pattern, h := range table {
			routes = append(routes, caddy.AdminRoute{Pattern: pattern, Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
				h.serve(a.admin, w, r)
				return nil
			})})
		}
	}
	oauth, consumers := caddytest.AdminMux(t, routes), a.Handler
	a.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/gluu/oauth2") || strings.Contains(r.URL.Path, "/oauth2") {
			oauth.ServeHTTP(w, r)
		} else {
			consumers.ServeHTTP(w, r)
		}
	})
	if status, body := a.do("POST", "/gluu/consumers", `{"username":"ann"}`); status != http.StatusCreated {
		t.Fatal(body)
	}
	return a
}

// object sends a request and decodes the answer.
func (a *oauthTest) object(want int, method, target, body string) map[string]any {
	a.Helper()
	status, text := a.do(method, target, body)
	if status != want {
		a.Fatalf("%s %s %s: got %d %s, want %d", method, target, body, status, text, want)
	}
	if text == "" {
		return nil
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		a.Fatalf("%s: %v", text, err)
	}
	return object
}

func TestACredentialSaysHowItsIDTokensAreSigned(t *testing.T) {
	a := newOAuthTest(t)
	const member = "id_token_signed_response_alg"
	made := a.object(201, "POST", "/gluu/consumers/ann/oauth2", `{"name":"Steps","`+member+`":"ES256"}`)
	target := "/gluu/oauth2/" + made["client_id"].(string)
	stored, err := a.store.Client(t.Context(), made["client_id"].(string))
	if err != nil || stored.IDTokenAlg != "ES256" || made[member] != "ES256" || a.object(200, "GET", target, "")[member] != "ES256" {
		t.Errorf("got %v, stored %+v, %v", made, stored, err)
	}
	if got := a.object(200, "PATCH", target, `{"name":"x"}`); got[member] != "ES256" {
		t.Errorf("after another change: %v", got)
	}
	if got := a.object(200, "PATCH", target, `{"`+member+`":null}`); got[member] != nil {
		t.Errorf("after its removal: %v", got)
	}
}

func TestCredentialsAreKeptAsByKong(t *testing.T) {
	a := newOAuthTest(t)
	ann := a.directory.Find("ann").ID
	made := a.object(201, "POST", "/gluu/consumers/ann/oauth2", `{"name":"Steps","redirect_uris":["https://steps.example.com/cb"],"tags":["x"],"hash_secret":false}`)
	id, clientID, secret := made["id"].(string), made["client_id"].(string), made["client_secret"].(string)
	if len(clientID) < 20 || len(secret) < 40 || made["name"] != "Steps" || made["client_type"] != "confidential" || made["hash_secret"] != true ||
		made["consumer"].(map[string]any)["id"] != ann || made["created_at"].(float64) < 1.7e9 {
		t.Fatalf("got %v", made)
	}
	stored, err := a.store.Client(t.Context(), clientID)
	if err != nil || len(stored.Secrets) != 1 || stored.Secrets[0].Hash != "hash of "+secret {
		t.Errorf("got %+v, %v", stored, err)
	}
	for _, target := range []string{"/gluu/oauth2/" + id, "/gluu/oauth2/" + clientID, "/gluu/consumers/ann/oauth2/" + id, "/gluu/consumers/" + ann + "/oauth2/" + clientID} {
		got := a.object(200, "GET", target, "")
		if got["id"] != id || got["client_secret"] != nil {
			t.Errorf("%s: got %v, want the credential without its secret", target, got)
		}
	}
	a.object(404, "GET", "/gluu/consumers/fixed/oauth2/"+id, "")
	a.object(404, "GET", "/gluu/consumers/nobody/oauth2", "")

	changed := a.object(200, "PATCH", "/gluu/oauth2/"+id, `{"name":"Steps 2","redirect_uris":["https://steps.example.com/2"],"scopes":["read"]}`)
	if changed["name"] != "Steps 2" || changed["client_secret"] != nil || changed["client_id"] != clientID || changed["tags"] == nil {
		t.Errorf("got %v", changed)
	}
	put := a.object(200, "PUT", "/gluu/oauth2/"+clientID, `{"name":"Steps 3","consumer":{"id":"`+ann+`"}}`)
	if put["name"] != "Steps 3" || put["redirect_uris"] != nil || put["id"] != id {
		t.Errorf("got %v", put)
	}
	if stored, err := a.store.Client(t.Context(), clientID); err != nil || stored.Secrets[0].Hash != "hash of "+secret {
		t.Errorf("the secret is lost: %+v %v", stored, err)
	}
	created := a.object(201, "PUT", "/gluu/consumers/ann/oauth2/chosen", `{"name":"Chosen","client_secret":"given"}`)
	if created["client_id"] != "chosen" || created["client_secret"] != "given" {
		t.Errorf("got %v", created)
	}
	a.object(204, "DELETE", "/gluu/oauth2/chosen", "")
	a.object(204, "DELETE", "/gluu/oauth2/chosen", "")
	a.object(404, "GET", "/gluu/oauth2/chosen", "")
}

func TestSec_S231_S236_SecretsAreShownOnceAndHashed(t *testing.T) {
	a := newOAuthTest(t)
	made := a.object(201, "POST", "/gluu/oauth2", `{"name":"x","consumer":{"username":"ann"},"client_id":"x","client_secret":"first-secret","hash_secret":false}`)
	if made["client_secret"] != "first-secret" {
		t.Errorf("got %v", made)
	}
	renewed := a.object(201-1, "POST", "/gluu/oauth2/x/secret", `{"overlap":"24h"}`)
	second := renewed["client_secret"].(string)
	if second == "first-secret" || len(second) < 40 {
		t.Errorf("got %v", renewed)
	}
	client, err := a.store.Client(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if got := client.ValidSecrets(time.Now()); !slices.Equal(got, []string{"hash of " + second, "hash of first-secret"}) {
		t.Errorf("now: got %q", got)
	}
	if got := client.ValidSecrets(time.Now().Add(25 * time.Hour)); !slices.Equal(got, []string{"hash of " + second}) {
		t.Errorf("after the overlap: got %q", got)
	}
	third := a.object(200, "POST", "/gluu/oauth2/x/secret", "")["client_secret"].(string)
	if client, err = a.store.Client(t.Context(), "x"); err != nil || !slices.Equal(client.ValidSecrets(time.Now()), []string{"hash of " + third}) {
		t.Errorf("without an overlap: got %+v %v", client, err)
	}
	for _, target := range []string{"/gluu/oauth2", "/gluu/oauth2/x", "/gluu/consumers/ann/oauth2"} {
		if _, body := a.do("GET", target, ""); strings.Contains(body, "secret-") || strings.Contains(body, third) || strings.Contains(body, "hash of") {
			t.Errorf("%s shows a secret: %s", target, body)
		}
	}
	a.object(201, "POST", "/gluu/oauth2", `{"name":"p","consumer":"`+a.directory.Find("ann").ID+`","client_id":"public","client_type":"public"}`)
	a.object(400, "POST", "/gluu/oauth2/public/secret", "{}")
	a.object(400, "POST", "/gluu/oauth2/x/secret", `{"overlap":"1000d"}`)
	a.object(409, "POST", "/gluu/oauth2/app/secret", "{}")
}

// The fields of a fault say what is wrong with each member, and with which element of a list.
func TestFaultsNameMembersAndElements(t *testing.T) {
	a := newOAuthTest(t)
	a.object(201, "POST", "/gluu/consumers/ann/oauth2", `{"name":"of","client_id":"of"}`)
	const credentials, tokens = "/gluu/consumers/ann/oauth2", "/gluu/oauth2_tokens"
	for _, test := range []struct{ target, body, fields string }{
		{credentials, `{}`, `{"name":"required field missing"}`},
		{credentials, `{"name":null}`, `{"name":"required field missing"}`},
		{credentials, `{"name":1}`, `{"name":"expected a string"}`},
		{credentials, `{"name":"x","client_id":5}`, `{"client_id":"expected a string"}`},
		{credentials, `{"name":"x","client_secret":5}`, `{"client_secret":"expected a string"}`},
		{credentials, `{"name":"x","client_secret":""}`, `{"client_secret":"length must be at least 1"}`},
		{credentials, `{"name":"x","hash_secret":"yes"}`, `{"hash_secret":"expected a boolean"}`},
		{credentials, `{"name":"x","tags":"a"}`, `{"tags":"expected an array"}`},
		{credentials, `{"name":"x","tags":["a",1]}`, `{"tags":[null,"expected a string"]}`},
		{credentials, `{"name":"x","redirect_uris":"https://a.example"}`, `{"redirect_uris":"expected an array"}`},
		{credentials, `{"name":"x","redirect_uris":[null]}`, `{"redirect_uris":["expected a string"]}`},
		{credentials, `{"name":"x","redirect_uris":["not-valid"]}`, `{"redirect_uris":["cannot parse 'not-valid'"]}`},
		{credentials, `{"name":"x","redirect_uris":["https://a.example/","not-valid"]}`, `{"redirect_uris":[null,"cannot parse 'not-valid'"]}`},
		{credentials, `{"name":"x","redirect_uris":["https://a.example/","https://a.example/#f","https://b.example/"]}`, `{"redirect_uris":[null,"fragment not allowed in 'https://a.example/#f'"]}`},
		{tokens, `{}`, `{"credential":"required field missing","expires_in":"required field missing"}`},
		{tokens, `{"credential":{"client_id":"of"},"expires_in":null}`, `{"expires_in":"required field missing"}`},
		{tokens, `{"credential":{"client_id":"of"},"expires_in":"hello"}`, `{"expires_in":"expected an integer"}`},
		{tokens, `{"credential":{"client_id":"of"},"expires_in":-1}`, `{"expires_in":"is out of range"}`},
		{tokens + "/lookup", `{"token":5}`, `{"token":"expected a string"}`},
		{tokens + "/lookup", `{"token":""}`, `{"token":"length must be between 1 and 16384"}`},
	} {
		fault := a.object(400, "POST", test.target, test.body)
		if fields, _ := json.Marshal(fault["fields"]); string(fields) != test.fields {
			t.Errorf("%s %s: got %s, want %s", test.target, test.body, fields, test.fields)
		}
	}
	want := "schema violation (redirect_uris.2: cannot parse 'x')"
	if fault := a.object(400, "POST", credentials, `{"name":"x","redirect_uris":["https://a.example/","x"]}`); fault["message"] != want {
		t.Errorf("got %v, want %s", fault["message"], want)
	}
}

// Below a consumer only its own credentials are found, for a deletion too.
func TestCredentialsOfAnotherConsumer(t *testing.T) {
	a := newOAuthTest(t)
	a.object(201, "POST", "/gluu/consumers/ann/oauth2", `{"name":"of","client_id":"of"}`)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		body := ""
		if method == "PATCH" {
			body = "{}"
		}
		a.object(404, method, "/gluu/consumers/fixed/oauth2/of", body)
		a.object(404, method, "/gluu/consumers/ann/oauth2/nothing", body)
	}
	a.object(200, "GET", "/gluu/consumers/ann/oauth2/of", "")
}

func TestFaultsAreThoseOfKong(t *testing.T) {
	a := newOAuthTest(t)
	a.object(201, "POST", "/gluu/consumers/ann/oauth2", `{"name":"taken","client_id":"taken"}`)
	for _, test := range []struct {
		name, method, target, body string
		status                     int
		kind                       string
		code                       float64
		field                      string
	}{
		{"no name", "POST", "/gluu/consumers/ann/oauth2", `{}`, 400, "schema violation", 2, "name"},
		{"a blank name", "POST", "/gluu/consumers/ann/oauth2", `{"name":" "}`, 400, "schema violation", 2, "name"},
		{"no consumer", "POST", "/gluu/oauth2", `{"name":"x"}`, 400, "schema violation", 2, "consumer"},
		{"an unknown consumer", "POST", "/gluu/oauth2", `{"name":"x","consumer":{"id":"b3b1d5a0-0000-4000-8000-000000000000"}}`, 400, "foreign key violation", 4, "consumer"},
		{"a consumer that is not an object", "POST", "/gluu/oauth2", `{"name":"x","consumer":[1]}`, 400, "schema violation", 2, "consumer"},
		{"another consumer than the address says", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","consumer":{"username":"fixed"}}`, 400, "schema violation", 2, "consumer"},
		{"an unknown member", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","Name":"y"}`, 400, "schema violation", 2, "Name"},
		{"a name that is a number", "POST", "/gluu/consumers/ann/oauth2", `{"name":1}`, 400, "schema violation", 2, "name"},
		{"a redirect URI that is a text", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","redirect_uris":"https://a.example"}`, 400, "schema violation", 2, "redirect_uris"},
		{"a redirect URI with a fragment", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","redirect_uris":["https://a.example/#x"]}`, 400, "schema violation", 2, "redirect_uris"},
		{"a redirect URI with http", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","redirect_uris":["http://a.example/"]}`, 400, "schema violation", 2, "redirect_uris"},
		{"a type", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","client_type":"secret"}`, 400, "schema violation", 2, "client_type"},
		{"an empty secret", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","client_secret":""}`, 400, "schema violation", 2, "client_secret"},
		{"a secret of a public client", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","client_type":"public","client_secret":"x"}`, 400, "schema violation", 2, "client_secret"},
		{"a secret that cannot be hashed", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","client_secret":"` + strings.Repeat("x", 200) + `"}`, 400, "schema violation", 2, "client_secret"},
		{"a grant that no server has", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","grants":["password"]}`, 400, "schema violation", 2, "grants"},
		{"a scope that no server has", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","scopes":["admin"]}`, 400, "schema violation", 2, "scopes"},
		{"an id that is not one", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","id":"7"}`, 400, "schema violation", 2, "id"},
		{"an assertion without keys", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","auth":"private_key_jwt"}`, 400, "schema violation", 2, "jwks"},
		{"keys that are not", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","jwks":{"keys":"x"}}`, 400, "schema violation", 2, "jwks"},
		{"an algorithm that there is not", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","id_token_signed_response_alg":"HS256"}`, 400, "schema violation", 2, "id_token_signed_response_alg"},
		{"a client_id that is taken", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","client_id":"taken"}`, 409, "unique constraint violation", 5, "client_id"},
		{"a client_id of the configuration", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","client_id":"app"}`, 409, "unique constraint violation", 5, "client_id"},
		{"a result that cannot be", "PATCH", "/gluu/oauth2/taken", `{"name":null}`, 400, "schema violation", 2, "name"},
		{"another id", "PATCH", "/gluu/oauth2/taken", `{"id":"b3b1d5a0-0000-4000-8000-000000000000"}`, 400, "schema violation", 2, "id"},
		{"a change to a client of the configuration", "PATCH", "/gluu/oauth2/app", `{"name":"x"}`, 409, "", 0, ""},
		{"a replacement of a client of the configuration", "PUT", "/gluu/oauth2/app", `{"name":"x"}`, 409, "", 0, ""},
		{"a deletion of a client of the configuration", "DELETE", "/gluu/oauth2/app", "", 409, "", 0, ""},
		{"a change to no client", "PATCH", "/gluu/oauth2/nobody", `{"name":"x"}`, 404, "", 0, ""},
		{"a member twice", "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","name":"y"}`, 400, "", 0, ""},
		{"no object", "POST", "/gluu/consumers/ann/oauth2", `[]`, 400, "", 0, ""},
		{"another method", "PUT", "/gluu/oauth2", `{}`, 405, "", 0, ""},
		{"another method of tokens", "PUT", "/gluu/oauth2_tokens/x", `{}`, 405, "", 0, ""},
		{"a size", "GET", "/gluu/oauth2?size=0", "", 400, "invalid size", 9, ""},
		{"an offset", "GET", "/gluu/oauth2?offset=!", "", 400, "invalid offset", 7, ""},
		{"an offset of another kind", "GET", "/gluu/oauth2?offset=eA", "", 400, "invalid offset", 7, ""},
		{"a parameter", "GET", "/gluu/oauth2?tags=x", "", 400, "", 0, ""},
		{"a filter that is empty", "GET", "/gluu/oauth2_tokens?subject=", "", 400, "", 0, ""},
		{"an issuer", "GET", "/gluu/oauth2?issuer=https://other.example", "", 400, "", 0, ""},
		{"all grants of everyone", "DELETE", "/gluu/oauth2_grants", "", 400, "", 0, ""},
		{"a token without a credential", "POST", "/gluu/oauth2_tokens", `{"expires_in":1}`, 400, "schema violation", 2, "credential"},
		{"a token of an unknown credential", "POST", "/gluu/oauth2_tokens", `{"expires_in":1,"credential":{"id":"x"}}`, 400, "foreign key violation", 4, "credential"},
		{"a token without a time", "POST", "/gluu/oauth2_tokens", `{"credential":{"client_id":"taken"}}`, 400, "schema violation", 2, "expires_in"},
		{"a token with a negative time", "POST", "/gluu/oauth2_tokens", `{"expires_in":-1,"credential":{"client_id":"taken"}}`, 400, "schema violation", 2, "expires_in"},
		{"an empty token", "POST", "/gluu/oauth2_tokens", `{"expires_in":1,"access_token":"","credential":{"client_id":"taken"}}`, 400, "schema violation", 2, "access_token"},
		{"a lookup of nothing", "POST", "/gluu/oauth2_tokens/lookup", `{}`, 400, "schema violation", 2, "token"},
		{"a lookup of an unknown token", "POST", "/gluu/oauth2_tokens/lookup", `{"token":"x"}`, 404, "", 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, text := a.do(test.method, test.target, test.body)
			var got struct {
				Message, Name string
				Code          float64
				Fields        map[string]any
			}
			if err := json.Unmarshal([]byte(text), &got); err != nil || got.Message == "" {
				t.Fatalf("got %d %s: %v", status, text, err)
			}
			if status != test.status || got.Name != test.kind || got.Code != test.code || test.field != "" && got.Fields[test.field] == nil {
				t.Errorf("got %d %s, want %d %q %v about %q", status, text, test.status, test.kind, test.code, test.field)
			}
		})
	}
	for kind, want := range map[string]int{"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/json; charset=utf-8": 201} {
		r := httptest.NewRequest("POST", "/gluu/consumers/ann/oauth2", strings.NewReader(`{"name":"`+url.QueryEscape(kind)+`"}`))
		r.Header.Set("Content-Type", kind)
		if status, body := a.serve(r); status != want {
			t.Errorf("%q: got %d %s, want %d", kind, status, body, want)
		}
	}
}

// Where there is a `profile kong`, forms are read as Kong's tutorials send them.
func TestFormsAreReadWithProfileKong(t *testing.T) {
	a := newOAuthTest(t)
	a.admin.servers[0].Forms, a.admin.servers[0].HTTPRedirects = true, true
	send := func(body string) (int, string) {
		r := httptest.NewRequest("POST", "/gluu/oauth2", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return a.serve(r)
	}
	for _, body := range []string{
		"name=one&consumer.username=ann&redirect_uris=http://a.example/&redirect_uris=https://b.example/&hash_secret=true",
		"name=two&consumer.username=ann&redirect_uris[]=http://a.example/&redirect_uris[]=https://b.example/",
		"name=three&consumer.username=ann&redirect_uris[1]=http://a.example/&redirect_uris[2]=https://b.example/",
	} {
		status, text := send(body)
		var got credential
		if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusCreated || len(got.RedirectURIs) != 2 {
			t.Errorf("%s: got %d %s", body, status, text)
		}
	}
	for _, name := range []string{"Origin", "Sec-Fetch-Site"} {
		r := httptest.NewRequest("POST", "/gluu/oauth2", strings.NewReader("name=evil&consumer.username=ann&client_secret=known"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(name, "https://evil.example")
		if status, text := a.serve(r); status != http.StatusForbidden {
			t.Errorf("a page with %s: got %d %s, want 403", name, status, text)
		}
	}
	for _, body := range []string{"name=x&name=y&consumer.username=ann", "name=x&consumer.username=ann&created_at=soon", "name=%ff&consumer.username=ann"} {
		if status, text := send(body); status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", body, status, text)
		}
	}
}

func TestCredentialsAreListedOnce(t *testing.T) {
	a := newOAuthTest(t)
	want := []string{"app", "gateway"}
	for _, id := range []string{"l1", "l2", "l3", "l4", "l5"} {
		a.object(201, "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","client_id":"`+id+`"}`)
		want = append(want, id)
	}
	for _, size := range []string{"1", "2", "3", "100"} {
		var got []string
		for target, pages := "/gluu/oauth2?size="+size, 0; target != ""; pages++ {
			page := a.object(200, "GET", target, "")
			for _, one := range page["data"].([]any) {
				got = append(got, one.(map[string]any)["client_id"].(string))
			}
			if target, _ = page["next"].(string); pages > 20 {
				t.Fatal("the listing does not end")
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("size %s: got %v, want %v", size, got, want)
		}
	}
	for target, want := range map[string]int{"/gluu/consumers/ann/oauth2": 5, "/gluu/consumers/fixed/oauth2": 2} {
		if got := a.object(200, "GET", target, "")["data"].([]any); len(got) != want {
			t.Errorf("%s: got %d, want %d", target, len(got), want)
		}
	}
}

// Servers that have stores of their own are told apart by their issuer.
func TestServersAreToldApart(t *testing.T) {
	a := newOAuthTest(t)
	shared := a.admin.servers[0]
	shared.Issuer, shared.Clients = "https://shared.example", nil
	a.admin.servers = append(a.admin.servers, shared)
	a.object(200, "GET", "/gluu/oauth2", "")
	own := shared
	own.Issuer, own.Store = "https://own.example", newAuthStore(t)
	a.admin.servers = append(a.admin.servers, own)
	a.object(400, "GET", "/gluu/oauth2", "")
	a.object(201, "POST", "/gluu/consumers/ann/oauth2?issuer=https://own.example", `{"name":"x","client_id":"there"}`)
	a.object(200, "GET", "/gluu/oauth2/there?issuer=https://own.example", "")
	a.object(404, "GET", "/gluu/oauth2/there?issuer=https://shared.example", "")
	a.admin.servers = nil
	a.object(404, "GET", "/gluu/oauth2", "")
}

// For a moment at the start there is no server yet: nothing is said to be missing, and no
// consumer is deleted without its credentials.
func TestServersThatAreStarting(t *testing.T) {
	a := newOAuthTest(t)
	running, starting := runningServers, serversAreStarting
	t.Cleanup(func() { runningServers, serversAreStarting = running, starting })
	servers := a.admin.servers
	runningServers = func() []oauthServer { return a.admin.servers }
	serversAreStarting = func() bool { return len(a.admin.servers) == 0 }
	a.object(201, "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","client_id":"one"}`)
	a.admin.servers = nil
	if status, body := a.do("GET", "/gluu/oauth2/one", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "still starting") {
		t.Errorf("got %d %s", status, body)
	}
	if status, body := a.do("DELETE", "/gluu/consumers/ann", ""); status != http.StatusServiceUnavailable || a.directory.Find("ann") == nil {
		t.Errorf("got %d %s", status, body)
	}
	a.admin.servers = servers
	a.object(204, "DELETE", "/gluu/consumers/ann", "")
	a.object(404, "GET", "/gluu/oauth2/one", "")
}

// A consumer takes its credentials with it, also if that fails at first.
func TestSec_S210_DeletingAConsumerEndsAll(t *testing.T) {
	a := newOAuthTest(t)
	before := runningServers
	t.Cleanup(func() { runningServers = before })
	runningServers = func() []oauthServer { return a.admin.servers }
	ann := a.directory.Find("ann").ID
	for _, id := range []string{"one", "two"} {
		a.object(201, "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","client_id":"`+id+`"}`)
	}
	tokens := a.grantedTokens("one", "bob")
	a.object(204, "DELETE", "/gluu/consumers/ann", "")
	a.object(404, "GET", "/gluu/oauth2/one", "")
	a.object(404, "GET", "/gluu/oauth2/two", "")
	if a.isActive(tokens.AccessText) {
		t.Error("a token of the consumer's client is active")
	}
	if status, body := a.do("DELETE", "/gluu/consumers/"+ann, ""); status != http.StatusNotFound {
		t.Errorf("again: got %d %s", status, body)
	}
	// Credentials that are left over are found by the consumer's id.
	if err := a.store.CreateClient(t.Context(), &authcore.Client{ClientID: "left", Consumer: ann}); err != nil {
		t.Fatal(err)
	}
	a.object(204, "DELETE", "/gluu/consumers/"+ann, "")
	a.object(404, "GET", "/gluu/oauth2/left", "")
	if status, body := a.do("DELETE", "/gluu/consumers/fixed", ""); status != http.StatusConflict {
		t.Errorf("a consumer of the configuration: got %d %s", status, body)
	}
}
