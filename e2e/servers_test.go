// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const serversCaddyfile = `
{
	gluu {
		provider adfs {
			issuer {$SERVER}/adfs
			verify jwt
			client_id_claims appid
			audience todos
		}
		provider outside {
			issuer https://id.example.com/realms/a
			discovery_url {$SERVER}/inside
			verify jwt
		}
		provider mixed-up {
			issuer https://other.example.com/realms/a
			discovery_url {$SERVER}/inside
			verify jwt
		}
		provider tenants {
			issuer https://login.example.com/{tid}/v2.0
			tenants t1 t2
			jwks_uri {$SERVER}/keys
			verify jwt
		}
		provider raw {
			issuer {$SERVER}/raw
			client_id gateway
			client_secret {env.SECRET}
			client_auth client_secret_basic_raw
			timeout 3s
		}
	}
}
{$SITE} {
	gluu_oauth_auth adfs outside mixed-up tenants raw {
		id who
		consumer_mapping false
	}
	gluu_oauth_pep {
		id rules
		path /me {
			GET authenticated
		}
		path /todos {
			GET scope todos:read and todos:list
		}
	}
	reverse_proxy {$UPSTREAM}
}
`

// rawSecret has what servers decode in a secret, or do not.
const (
	rawSecret  = "a%2Bb+c /=:d"
	nextSecret = "the-secret-after-it+%20"
)

// servers is a gateway with servers as people have them, all of them at one
// address, whose answers take a moment.
type servers struct {
	*harness.Gateway
	t     *testing.T
	keys  [2]keyPair
	addr  string
	mu    sync.Mutex
	asked map[string]int // by token
}

func startServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{t: t, keys: [2]keyPair{newKeyPair(t), newKeyPair(t)}, asked: make(map[string]int)}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	s.addr = server.URL
	s.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: serversCaddyfile,
		Env:       map[string]string{"SERVER": server.URL, "UPSTREAM": harness.StartUpstream(t).Addr, "SECRET": rawSecret},
	})
	return s
}

func (s *servers) serve(w http.ResponseWriter, r *http.Request) {
	time.Sleep(100 * time.Millisecond) // of a server that is some way off
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/adfs/.well-known/openid-configuration":
		fmt.Fprintf(w, `{"issuer":"%[1]s/adfs","access_token_issuer":"http://adfs.example.com/adfs/services/trust","jwks_uri":"%[1]s/keys"}`, s.addr)
	case "/inside":
		fmt.Fprintf(w, `{"issuer":"https://id.example.com/realms/a","jwks_uri":"%s/keys"}`, s.addr)
	case "/raw/.well-known/openid-configuration":
		fmt.Fprintf(w, `{"issuer":"%[1]s/raw","jwks_uri":"%[1]s/keys","introspection_endpoint":"%[1]s/introspect"}`, s.addr)
	case "/keys":
		key := func(i int) string { return strings.TrimSuffix(s.keys[i].jwk, "}") + `,"x5t":"` + thumbprints[i] + `"}` }
		fmt.Fprintf(w, `{"keys":[%s,%s]}`, key(0), key(1))
	case "/introspect":
		s.introspect(w, r)
	default:
		http.NotFound(w, r)
	}
}

// thumbprints name the keys, as WSO2 and AD FS do.
var thumbprints = [2]string{"aGFzaCBvZiBvbmU", "aGFzaCBvZiB0d28"}

// introspect compares the credentials as they are sent, without decoding them.
func (s *servers) introspect(w http.ResponseWriter, r *http.Request) {
	_, sent, _ := strings.Cut(r.Header.Get("Authorization"), "Basic ")
	if decoded, _ := base64.StdEncoding.DecodeString(sent); string(decoded) != "gateway:"+rawSecret && string(decoded) != "gateway:"+nextSecret {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client"}`)
		return
	}
	token := r.FormValue("token")
	s.mu.Lock()
	s.asked[token]++
	s.mu.Unlock()
	fmt.Fprintf(w, `{"active":%t,"client_id":"a","scope":"todos:read","aud":"todos"}`, strings.HasPrefix(token, "opaque-token"))
}

// token is one with this header beside the algorithm and these claims beside the
// times, signed by a key.
func (s *servers) token(key int, header, claims string) string {
	now := time.Now().Unix()
	return s.keys[key].sign(s.t, `{"alg":"ES256"`+header+`}`, fmt.Sprintf(`{%s,"iat":%d,"exp":%d}`, claims, now-1, now+600))
}

// The first request meets the first attempt to read the metadata and waits for it;
// a reload with another secret costs no request.
func (s *servers) startAndRotation() {
	first := s.token(1, `,"x5t":"`+thumbprints[1]+`"`, `"iss":"`+s.addr+`/adfs","appid":"a","aud":"todos"`)
	for i, token := range []string{first, "opaque-token-at-the-start"} {
		if response := s.Get("/me", harness.Bearer(token)); response.Status != 200 {
			s.t.Errorf("request %d of a new process: got %s, want it to wait for the metadata", i, response)
		}
	}
	s.Config(http.MethodPatch, "apps/gluu/providers/raw/client_secret", nextSecret)
	for i := range 5 {
		if response := s.Get("/me", harness.Bearer(fmt.Sprintf("opaque-token-after-a-reload-%d", i))); response.Status != 200 {
			s.t.Errorf("request %d after a reload: got %s, want the metadata taken over", i, response)
		}
	}
}

// Servers as people have them, through the binary: keys that only thumbprints name,
// an issuer of access tokens beside that of ID tokens, names that are not addresses,
// an address inside and one outside, tenants, and credentials that are compared
// as they are.
func TestServersThatPeopleHave(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.startAndRotation()
	x5t := func(i int) string { return `,"x5t":"` + thumbprints[i] + `"` }
	adfs := `"iss":"http://adfs.example.com/adfs/services/trust","appid":"a","aud":"todos"`
	tenant := func(id, tid string) string {
		return fmt.Sprintf(`"iss":"https://login.example.com/%s/v2.0","azp":"a"%s`, id, tid)
	}
	raw := `"iss":"` + s.addr + `/raw","client_id":"a"`
	for _, test := range []struct {
		name, token string
		status      int
		reason      string
	}{
		{"the access_token_issuer, a key by x5t", s.token(0, x5t(0), adfs), 200, ""},
		{"the other key by x5t", s.token(1, x5t(1), adfs), 200, ""},
		{"a key that x5t does not name", s.token(1, x5t(0), adfs), 401, "token_invalid"},
		{"an x5t that no key has", s.token(1, `,"x5t":"bm90aGluZw"`, adfs), 401, "token_invalid"},
		{"no name while two keys fit", s.token(0, "", adfs), 401, "token_invalid"},
		{"the issuer itself", s.token(0, x5t(0), `"iss":"`+s.addr+`/adfs","appid":"a","aud":"todos"`), 200, ""},
		{"another audience", s.token(0, x5t(0), strings.Replace(adfs, `"todos"`, `"bills"`, 1)), 401, "token_invalid"},
		{"public at one address and read at another", s.token(0, x5t(0), `"iss":"https://id.example.com/realms/a","azp":"a"`), 200, ""},
		{"metadata of another issuer", s.token(0, x5t(0), `"iss":"https://other.example.com/realms/a","azp":"a"`), 503, "provider_unavailable"},
		{"a tenant", s.token(0, x5t(0), tenant("t1", `,"tid":"t1"`)), 200, ""},
		{"another tenant", s.token(0, x5t(0), tenant("t2", `,"tid":"t2"`)), 200, ""},
		{"a tenant that is not named", s.token(0, x5t(0), tenant("t3", `,"tid":"t3"`)), 401, "token_invalid"},
		{"a tenant in the name of another", s.token(0, x5t(0), tenant("t1", `,"tid":"t2"`)), 401, "token_invalid"},
		{"a tenant without its claim", s.token(0, x5t(0), tenant("t1", "")), 401, "token_invalid"},
		{"credentials as they are", "opaque-token-that-is-known", 200, ""},
		{"an unknown token", "made-up-token", 401, "token_inactive"},
		{"our JWT while two keys fit", s.token(0, "", raw), 401, "token_invalid"},
		{"our JWT without an algorithm", encode(`{"kid":"x"}`) + "." + encode("{"+raw+"}") + ".AAAA", 401, "token_invalid"},
		{"our JWT with alg none", encode(`{"alg":"none"}`) + "." + encode("{"+raw+"}") + ".", 401, "token_invalid"},
		{"our JWT with a number for alg", encode(`{"alg":1}`) + "." + encode("{"+raw+"}") + ".AAAA", 401, "token_invalid"},
		{"our JWT with a member twice", encode(`{"alg":"ES256","alg":"none"}`) + "." + encode("{"+raw+"}") + ".AAAA", 401, "token_invalid"},
		{"our JWT with 5,000 levels", encode(`{"alg":"ES256","x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+"}") + "." + encode("{"+raw+"}") + ".AAAA", 401, "token_invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			mark := s.Log.Mark()
			response := s.Get("/me", harness.Bearer(test.token))
			if response.Status != test.status {
				t.Fatalf("got %s, want %d", response, test.status)
			}
			if test.reason == "" {
				return
			}
			entry := s.WaitReason(mark, test.reason)
			var body struct {
				RequestID string `json:"request_id"`
			}
			if json.Unmarshal([]byte(response.Body), &body) != nil || body.RequestID == "" || entry.Text("request_id") != body.RequestID {
				t.Errorf("got the request id %q in the answer and %q in the log", body.RequestID, entry.Text("request_id"))
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if strings.Contains(test.token, ".") && s.asked[test.token] != 0 {
				t.Errorf("a JWT of a configured issuer was sent to the introspection endpoint")
			}
		})
	}
	s.refusalsSayWhatWasThere()
	s.liveChanges()
}

// A refusal says what was asked for and what was there.
func (s *servers) refusalsSayWhatWasThere() {
	x5t := `,"x5t":"` + thumbprints[0] + `"`
	now := time.Now().Unix()
	for _, test := range []struct {
		name, target, token, reason string
		says                        []string
	}{
		{"audience", "/me", s.token(0, x5t, `"iss":"`+s.addr+`/adfs","appid":"a","aud":"bills"`), "token_invalid", []string{`bills`, `todos`}},
		{"a JWT of another issuer", "/me", s.token(0, x5t, `"iss":"https://elsewhere.example"`), "token_inactive", []string{"https://elsewhere.example", s.addr}},
		{"not valid yet", "/me", s.token(0, x5t, fmt.Sprintf(`"iss":"%s/adfs","appid":"a","aud":"todos","nbf":%d`, s.addr, now+100)), "token_invalid", []string{"nbf", "s"}},
		{"grants", "/todos", "opaque-token-that-may-read", "scope_missing", []string{"todos:list", "todos:read"}},
	} {
		mark := s.Log.Mark()
		s.Get(test.target, harness.Bearer(test.token))
		line, err := json.Marshal(s.WaitReason(mark, test.reason))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, piece := range test.says {
			if !strings.Contains(string(line), piece) {
				s.t.Errorf("%s: the line of the log does not say %q: %s", test.name, piece, line)
			}
		}
	}
}

// Handlers have addresses of their own for live changes, and a server that refuses
// the gateway's own credentials is seen at once.
func (s *servers) liveChanges() {
	if status, answer := s.AdminCall(http.MethodPatch, "/id/who/realm", "changed"); status == http.StatusOK {
		s.t.Errorf("PATCH of a setting that is not there: got %d %s", status, answer)
	}
	if status, answer := s.AdminCall(http.MethodPost, "/id/who/realm", "changed"); status != http.StatusOK {
		s.t.Fatalf("POST /id/who/realm: got %d %s", status, answer)
	}
	if response := s.Get("/me"); response.Header.Get("WWW-Authenticate") != `Bearer realm="changed"` {
		s.t.Errorf("after a live change: got %s", response)
	}
	s.Config(http.MethodPatch, "apps/gluu/providers/raw/client_secret", "another-secret-than-it")
	mark := s.Log.Mark()
	if response := s.Get("/me", harness.Bearer("opaque-token-under-a-wrong-secret")); response.Status != 503 {
		s.t.Errorf("with a wrong secret: got %s, want 503", response)
	}
	if said := s.WaitReason(mark, "provider_unavailable").Text("error"); !strings.Contains(said, "client_id or secret") || !strings.Contains(said, "401") {
		s.t.Errorf("with a wrong secret the log says %q", said)
	}
	if _, answer := s.AdminCall(http.MethodGet, "/gluu/providers", nil); !strings.Contains(string(answer), `"health":"degraded"`) {
		s.t.Errorf("with a wrong secret /gluu/providers says %s", answer)
	}
}
