// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/explain"
)

// Each row of the table of refusals in docs/troubleshooting.md is what a gateway
// really answers and logs, and each refusal here has its row. The table is read
// from the page, so that the two cannot differ.

// refusalRow is a row: what one sees.
type refusalRow struct {
	status, description string // of the answer
	// Of the log line: the field `reason`, and `error` or the fields that stand for it.
	reason, cause string
}

func TestTheTableOfRefusals(t *testing.T) {
	rows := refusalRows(t)
	seen := map[refusalRow]bool{}
	for _, scene := range slices.Concat(refusalScenes, otherRefusalScenes) {
		t.Run(scene.name, func(t *testing.T) {
			s := newScene(t)
			scene.play(s)
			if len(s.refused) == 0 {
				t.Fatal("nothing was refused")
			}
			metrics := s.metrics()
			for _, got := range s.refused {
				row, ok := matchingRow(rows, got)
				if !ok {
					t.Errorf("the table has no row for %+v", got)
					continue
				}
				seen[row] = true
				if counted := regexp.MustCompile(`gluu_(client_refused|oauth_server_requests_refused_total)\{[^}]*reason="` + got.reason + `"`); !counted.MatchString(metrics) {
					t.Errorf("no metric counts %s", got.reason)
				}
			}
		})
	}
	for _, row := range rows {
		if !seen[row] {
			t.Errorf("nothing is refused as this row says: %+v", row)
		}
	}
}

var (
	rowOfRefusal = regexp.MustCompile("(?m)^\\| (\\d{3}) `([^`]+)` \\| `([a-z_]+)`(?:: `([^`]+)`)? \\|")
	anyRow       = regexp.MustCompile(`(?m)^\| \d`)
	anyText      = regexp.MustCompile(regexp.QuoteMeta(regexp.QuoteMeta("...")))
)

func refusalRows(t *testing.T) (rows []refusalRow) {
	t.Helper()
	page, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## A request is refused\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, cells := range rowOfRefusal.FindAllStringSubmatch(section, -1) {
		rows = append(rows, refusalRow{cells[1], cells[2], cells[3], cells[4]})
	}
	if lines := len(anyRow.FindAllString(section, -1)); len(rows) != lines {
		t.Errorf("%d of %d rows can be read", len(rows), lines)
	}
	return rows
}

// matchingRow returns the row that shows what was seen. In a row "..." stands for
// any text.
func matchingRow(rows []refusalRow, got refusalRow) (refusalRow, bool) {
	for _, row := range rows {
		if row.status == got.status && row.reason == got.reason && matchesText(row.description, got.description) && matchesText(row.cause, got.cause) {
			return row, true
		}
	}
	return refusalRow{}, false
}

func matchesText(shown, got string) bool {
	pattern := anyText.ReplaceAllString(regexp.QuoteMeta(shown), ".*")
	return regexp.MustCompile("(?s)^" + pattern + "$").MatchString(got)
}

// scene is a gateway between an authorization server and an upstream.
type scene struct {
	*gateway
	t       *testing.T
	server  *httptest.Server
	key     *rsa.PrivateKey
	answer  http.HandlerFunc // of the introspection endpoint
	refused []refusalRow
}

var sceneKey = func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}()

func newScene(t *testing.T) *scene {
	s := &scene{t: t, key: sceneKey, answer: func(w http.ResponseWriter, r *http.Request) { writeJSON(w, `{"active":false}`) }}
	mux := http.NewServeMux()
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, fmt.Sprintf(`{"issuer":%[1]q,"jwks_uri":"%[1]s/keys","introspection_endpoint":"%[1]s/introspect"}`, s.server.URL))
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, keySet([]vendorToken{{header: sceneHeader}}, s.key))
	})
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) { s.answer(w, r) })
	s.gateway = &gateway{TB: t, dir: t.TempDir(), upstream: newUpstream(t), address: caddytest.FreeAddress(t), adminAddress: caddytest.FreeAddress(t), auth: &authServer{Server: s.server}}
	caddytest.StopAfter(t)
	return s
}

func writeJSON(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, text)
}

var sceneHeader = map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": "current"}

const sceneProvider = `provider {
	issuer {issuer}
	client_id gateway
	client_secret secret
	audience https://api.example.com
	%s
}
consumer ann {
	custom_id client-a
}
`

const sceneRules = `gluu_oauth_auth
gluu_oauth_pep {
	path /todos/? {
		GET scope todos:read
		PUT scope todos:write or admin
		DELETE scope todos:read {
			max_age 10m
		}
	}
}
reverse_proxy {upstream}
`

// usual runs the usual gateway, with more settings of the provider.
func (s *scene) usual(more string) { s.load(fmt.Sprintf(sceneProvider, more), sceneRules) }

// jwt signs a token, good but for the claims and members of the header given.
func (s *scene) jwt(changed map[string]any) string {
	now := time.Now().Unix()
	c := map[string]any{
		"iss": s.server.URL, "aud": "https://api.example.com", "sub": "ann", "client_id": "client-a", "scope": "todos:read",
		"iat": now - 60, "exp": now + 3600, "auth_time": now - 3600,
	}
	header := map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": "current"}
	for name, value := range changed {
		if member, ok := strings.CutPrefix(name, "header."); ok {
			header[member] = value
			continue
		}
		c[name] = value
	}
	text, err := json.Marshal(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return signRS256(s.t, s.key, header, string(text))
}

// expectRefusal sends a request and keeps what is seen of the refusal.
func (s *scene) expectRefusal(method, target, token string, lines ...string) {
	s.t.Helper()
	before := len(s.records("request refused"))
	got := s.request(method, target, token, lines...)
	if after := len(s.records("request refused")); after != before+1 {
		s.t.Fatalf("%s %s: got %d %s and %d log lines, want a refusal", method, target, got.status, got.body, after-before)
	}
	s.keep(got)
	if len(lines) > 0 {
		return
	}
	// `caddy gluu explain --token` says the same.
	_, answer, text := s.explain(explain.Question{Token: token, Request: method + " " + target})
	last := s.records("request refused")[before]
	refused := answer.Decision.Refused
	if answer.Caller != nil && answer.Caller.Bound != "" {
		return // a proof is not checked there
	}
	if refused == nil || refused.Status != got.status || refused.Reason != last["reason"] {
		s.t.Errorf("%s %s: got %d %v, and the explanation %s", method, target, got.status, last["reason"], text)
	} else if cause, _ := last["error"].(string); refused.Error != cause && !strings.HasPrefix(cause, "expired at") {
		s.t.Errorf("%s %s: the log says %q, and the explanation %q", method, target, cause, refused.Error)
	}
}

// keep keeps what is seen of the last refusal.
func (s *scene) keep(got answer) {
	s.t.Helper()
	records := s.records("request refused")
	record := records[len(records)-1]
	var body struct {
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		s.t.Fatalf("%v: %s", err, got.body)
	}
	cause, _ := record["error"].(string)
	for _, field := range []string{"required", "grants"} {
		if value, ok := record[field]; ok {
			text, _ := json.Marshal(value)
			cause = strings.TrimPrefix(cause+fmt.Sprintf(",%q:%s", field, text), ",")
		}
	}
	if record["reason"] == "unknown_consumer" {
		cause = fmt.Sprintf(`"client_id":%q`, record["client_id"])
	}
	cause = strings.ReplaceAll(cause, s.server.URL, "https://op.example.com")
	reason, _ := record["reason"].(string)
	s.refused = append(s.refused, refusalRow{fmt.Sprint(got.status), body.Description, reason, cause})
}

func (s *scene) metrics() string {
	s.t.Helper()
	response, err := http.Get("http://" + s.adminAddress + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// refusalScene is what has to happen for rows of the table.
type refusalScene struct {
	name string
	play func(s *scene)
}

var refusalScenes = []refusalScene{
	{"no token", func(s *scene) {
		s.usual("")
		s.expectRefusal("GET", "/todos/1", "")
	}},
	{"malformed credentials", func(s *scene) {
		s.usual("")
		good := s.jwt(nil)
		s.expectRefusal("GET", "/todos/1", "", "Authorization: Bearer")
		s.expectRefusal("GET", "/todos/1", good, "Authorization: Bearer "+good)
		s.expectRefusal("GET", "/todos/1", "two words")
		s.expectRefusal("GET", "/todos/1", strings.Repeat("a", 17<<10))
		s.expectRefusal("get", "/todos/1", good)
	}},
	{"tokens that are not valid", func(s *scene) {
		s.usual("")
		now := time.Now().Unix()
		for _, changed := range []map[string]any{
			{"exp": now - 90},
			{"aud": "https://billing.example.com"},
			{"aud": []string{}},
			{"nbf": now + 90},
			{"header.alg": "HS256"},
			{"header.kid": "replaced"},
			{"header.typ": "logout+jwt"},
			{"at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q"},
			{"cnf": map[string]any{"jkt": strings.Repeat("A", 43)}},
			{"client_id": "client-x"},
		} {
			s.expectRefusal("GET", "/todos/1", s.jwt(changed))
		}
		good := s.jwt(nil)
		s.expectRefusal("GET", "/todos/1", good[:len(good)-8]+"AAAAAAAA")
	}},
	{"tokens of another issuer", func(s *scene) {
		s.usual("")
		s.expectRefusal("GET", "/todos/1", s.jwt(map[string]any{"iss": "https://other.example.com"}))
	}},
	{"only JWTs", func(s *scene) {
		s.usual("verify jwt")
		s.expectRefusal("GET", "/todos/1", s.jwt(map[string]any{"iss": "https://other.example.com"}))
		s.expectRefusal("GET", "/todos/1", "opaque")
	}},
	{"inactive", func(s *scene) {
		s.usual("")
		s.expectRefusal("GET", "/todos/1", "revoked")
	}},
	{"DPoP", func(s *scene) {
		s.usual("")
		client := newProofs(s.t)
		token := s.jwt(map[string]any{"cnf": map[string]any{"jkt": client.key.Public().Thumbprint()}})
		address := "http://" + s.address + "/todos/1"
		proof := client.proof("GET", address, token, nil)
		if got := s.get("/todos/1", "", "Authorization: DPoP "+token, "DPoP: "+proof); got.status != 200 {
			s.t.Fatalf("got %d %s", got.status, got.body)
		}
		s.expectRefusal("GET", "/todos/1", "", "Authorization: DPoP "+token, "DPoP: "+proof)
		s.expectRefusal("GET", "/todos/1", "", "Authorization: DPoP "+token, "DPoP: "+client.proof("POST", address, token, nil))
		s.expectRefusal("GET", "/todos/1", "", "Authorization: DPoP "+token, "DPoP: "+client.proof("GET", "https://api.example.com/todos/1", token, nil))
	}},
	{"rules", func(s *scene) {
		s.usual("")
		good := s.jwt(nil)
		s.expectRefusal("GET", "/todos/1", s.jwt(map[string]any{"scope": "profile"}))
		s.expectRefusal("PUT", "/todos/1", good)
		s.expectRefusal("DELETE", "/todos/1", good)
		s.expectRefusal("GET", "/todos", good)
		s.expectRefusal("GET", "/todos/a%2Fb", good)
		s.expectRefusal("GET", "/todos/a;v=1", good)
		s.expectRefusal("GET", "/todos/..", good)
		s.expectRefusal("GET", "/todos/"+strings.Repeat("a", 16<<10), good)
	}},
	{"no authentication", func(s *scene) {
		s.load(fmt.Sprintf(sceneProvider, ""), strings.TrimPrefix(sceneRules, "gluu_oauth_auth\n"))
		s.expectRefusal("GET", "/todos/1", s.jwt(nil))
	}},
	{"the gateway's own credentials", func(s *scene) {
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			writeJSON(w, `{"error":"invalid_client"}`)
		}
		s.usual("")
		s.expectRefusal("GET", "/todos/1", "opaque")
	}},
	{"an answer that is an error", func(s *scene) {
		s.answer = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) }
		s.usual("")
		s.expectRefusal("GET", "/todos/1", "opaque")
	}},
	{"no answer in time", func(s *scene) {
		release := make(chan struct{})
		s.t.Cleanup(func() { close(release) })
		s.answer = func(w http.ResponseWriter, r *http.Request) { <-release }
		s.usual("timeout 100ms")
		s.expectRefusal("GET", "/todos/1", "opaque")
	}},
	{"the breaker is open", func(s *scene) {
		s.answer = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) }
		s.usual("")
		for i := range 5 {
			s.get("/todos/1", fmt.Sprint("opaque-", i))
		}
		s.expectRefusal("GET", "/todos/1", "opaque")
	}},
	{"nothing listens", func(s *scene) {
		s.server.Close()
		s.usual("")
		s.expectRefusal("GET", "/todos/1", "opaque")
		s.expectRefusal("GET", "/todos/1", s.jwt(nil))
	}},
	{"the metadata is another issuer's", func(s *scene) {
		s.usual("")
		config := strings.Replace(fmt.Sprintf(sceneProvider, ""), "issuer {issuer}", "issuer {issuer}/", 1)
		s.load(config, sceneRules)
		s.expectRefusal("GET", "/todos/1", "opaque")
	}},
	{"an answer that cannot be read", func(s *scene) {
		s.answer = func(w http.ResponseWriter, r *http.Request) { writeJSON(w, `{"active":"true"}`) }
		s.usual("")
		s.expectRefusal("GET", "/todos/1", "opaque")
	}},
	{"too many unknown tokens", func(s *scene) {
		s.usual("")
		for i := range 20_000 { // as many as it takes: a slow machine regains some in the meantime
			if got := s.get("/todos/1", fmt.Sprint("made-up-", i)); got.status == http.StatusTooManyRequests {
				s.keep(got)
				return
			}
		}
		s.t.Fatal("20,000 unknown tokens are not too many")
	}},
}
