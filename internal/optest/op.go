// SPDX-License-Identifier: Apache-2.0

// Package optest is an OpenID Provider for tests. It does what a good one does,
// strictly, and every step has a hook at which a test makes it do something
// else: the faults that relying parties must survive.
//
//	op := optest.New(t)
//	op.User = optest.User{Subject: "alice", ACR: "silver"}
//	op.EditIDToken = func(claims, header map[string]any) { claims["aud"] = "other" }
package optest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/jose"
)

// Client is the relying party that the provider knows.
type Client struct {
	ID, Secret   string
	RedirectURIs []string
	PostLogout   []string
}

// User is the person who logs in next.
type User struct {
	Subject string
	ACR     string
	AMR     []string
	Claims  map[string]any // further claims of the ID token and of userinfo
}

// OP is the provider. Fields are changed under Lock while requests run.
type OP struct {
	*httptest.Server
	sync.Mutex

	Client Client
	User   User
	Now    func() time.Time

	// Interactive shows a form in which a person types their name, rather than
	// logging User in at once.
	Interactive bool

	// ACRs are the authentication contexts that the provider can do. A request
	// for one of them logs the person in with it. Default: that of User.
	ACRs []string

	// IDTokenLife and AccessLife are how long tokens live.
	IDTokenLife, AccessLife time.Duration

	// Keys sign ID tokens, the last one; all are published under their ids.
	Keys []jose.PrivateKey

	// Hooks. A nil hook changes nothing.
	EditMetadata    func(map[string]any)
	EditCallback    func(url.Values)
	EditIDToken     func(claims, header map[string]any)
	EditTokenAnswer func(map[string]any)
	EditUserinfo    func(map[string]any)
	SignIDToken     func(claims []byte, header map[string]any) string
	EditLogout      func(url.Values)      // the query of the way back from the logout
	SignUserinfo    bool                  // userinfo is a JWT
	BeforeToken     func(form url.Values) // runs without the lock; it may block
	Fail            map[string]int        // by endpoint: answer this status
	RefuseRefresh   bool
	RotateRefresh   bool
	NoRefresh       bool
	NoRefreshID     bool // no ID token in the answer to a refresh

	calls    map[string]int
	requests []url.Values // authorization requests, in order
	issued   []string     // codes and tokens
	codes    map[string]*grant
	refresh  map[string]*grant
	access   map[string]*grant
	pushed   map[string]url.Values
	sessions map[string]*login // by the provider's own cookie
	serial   int
}

// login is a session of a person at the provider.
type login struct {
	user User
	acr  string
	at   time.Time
	sid  string
}

// grant is what a code or a refresh token stands for.
type grant struct {
	login       *login
	redirectURI string
	nonce       string
	challenge   string
	scope       string
	used        bool
}

// New starts a provider, which ends with the test.
func New(t testing.TB) *OP {
	t.Helper()
	key, err := jose.GenerateKey("RS256")
	if err != nil {
		t.Fatal(err)
	}
	op := &OP{
		Client: Client{ID: "web", Secret: "web-secret"}, User: User{Subject: "alice", ACR: "silver", AMR: []string{"pwd"}},
		Now: time.Now, IDTokenLife: time.Hour, AccessLife: time.Hour, Keys: []jose.PrivateKey{key}, RotateRefresh: true,
		Fail: make(map[string]int), calls: make(map[string]int), codes: make(map[string]*grant), refresh: make(map[string]*grant),
		access: make(map[string]*grant), pushed: make(map[string]url.Values), sessions: make(map[string]*login),
	}
	mux := http.NewServeMux()
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /.well-known/openid-configuration": op.metadata,
		"GET /jwks":                             op.jwks,
		"GET /authorize":                        op.authorize,
		"POST /login":                           op.submit,
		"POST /token":                           op.token,
		"GET /userinfo":                         op.userinfo,
		"POST /par":                             op.par,
		"POST /revoke":                          op.revoke,
		"GET /logout":                           op.logout,
	} {
		mux.Handle(pattern, op.counted(handler))
	}
	op.Server = httptest.NewServer(mux)
	t.Cleanup(op.Close)
	return op
}

// counted counts the calls of an endpoint, and makes it fail if it has to.
func (op *OP) counted(handler http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op.Lock()
		op.calls[r.URL.Path]++
		status := op.Fail[r.URL.Path]
		op.Unlock()
		if status != 0 {
			http.Error(w, "failed on purpose", status)
			return
		}
		handler(w, r)
	})
}

// Calls returns how often an endpoint, by its path, was called.
func (op *OP) Calls(path string) int {
	op.Lock()
	defer op.Unlock()
	return op.calls[path]
}

// Requests returns the parameters of all authorization requests so far.
func (op *OP) Requests() []url.Values {
	op.Lock()
	defer op.Unlock()
	return slices.Clone(op.requests)
}

// Secrets returns what no log of a client may have: the codes and tokens that were issued
// so far, the state and nonce of each request, and the client's secret.
func (op *OP) Secrets() []string {
	op.Lock()
	defer op.Unlock()
	secrets := append(slices.Clone(op.issued), op.Client.Secret)
	for _, request := range op.requests {
		secrets = append(secrets, request.Get("state"), request.Get("nonce"))
	}
	return slices.DeleteFunc(secrets, func(secret string) bool { return secret == "" })
}

// EndSessions forgets who is logged in at the provider.
func (op *OP) EndSessions() {
	op.Lock()
	defer op.Unlock()
	clear(op.sessions)
}

// AddKey publishes another key and signs with it from now on.
func (op *OP) AddKey(key jose.PrivateKey) {
	op.Lock()
	defer op.Unlock()
	op.Keys = append(op.Keys, key)
}

// ReplaceKeys signs with another key from now on, and forgets the others.
func (op *OP) ReplaceKeys(key jose.PrivateKey) {
	op.Lock()
	defer op.Unlock()
	op.Keys = []jose.PrivateKey{key}
}

// SubjectOf returns whose access token it is, "" if it is none.
func (op *OP) SubjectOf(accessToken string) string {
	op.Lock()
	defer op.Unlock()
	if g := op.access[accessToken]; g != nil {
		return g.login.user.Subject
	}
	return ""
}

// Issuer is the issuer identifier.
func (op *OP) Issuer() string { return op.URL }

// Sign signs claims as the provider does, such as those of a logout token.
func (op *OP) Sign(t testing.TB, claims map[string]any, typ string) string {
	t.Helper()
	op.Lock()
	defer op.Unlock()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	key := op.Keys[len(op.Keys)-1]
	raw, err := jose.Sign(text, key, key.Algorithm(), key.ID(), typ)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (op *OP) metadata(w http.ResponseWriter, _ *http.Request) {
	op.Lock()
	defer op.Unlock()
	document := map[string]any{
		"issuer": op.URL, "authorization_endpoint": op.URL + "/authorize", "token_endpoint": op.URL + "/token",
		"userinfo_endpoint": op.URL + "/userinfo", "jwks_uri": op.URL + "/jwks", "end_session_endpoint": op.URL + "/logout",
		"revocation_endpoint": op.URL + "/revoke", "pushed_authorization_request_endpoint": op.URL + "/par",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"RS256", "ES256"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   true, "backchannel_logout_session_supported": true,
	}
	if op.EditMetadata != nil {
		op.EditMetadata(document)
	}
	writeJSON(w, http.StatusOK, document)
}

func (op *OP) jwks(w http.ResponseWriter, _ *http.Request) {
	op.Lock()
	defer op.Unlock()
	var keys []jose.Key
	for _, key := range op.Keys {
		keys = append(keys, key.Public())
	}
	set, err := jose.PublicKeySet(keys...)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(set)
}

func writeJSON(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}
