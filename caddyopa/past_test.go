// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/opaengine"
	"github.com/caddy-gluu/gateway/internal/streams"
	"github.com/caddy-gluu/gateway/internal/token"
)

// streamPolicy lets two paths in, of which one is closed by a changed policy.
func streamPolicy(closed, more string) string {
	return "package httpapi.authz\n\ndefault allow := false\n\nallow if {\n\tinput.method == \"GET\"\n\tinput.host == \"" + streamHost + "\"\n\tinput.client_ip == \"127.0.0.1\"\n\tinput.scheme == \"http\"\n" +
		"\tinput.uri_args.room == \"a b\"\n\tinput.consumer.username == \"partner\"\n\tnot input.path[1] in {" + closed + "}\n" + more + "}\n"
}

const streamHost = "api.example.com"

// A watched policy that changes is a new rule about the streams that it let in.
func TestSec_S516_ANewPolicyEndsStreams(t *testing.T) {
	w := newWorld(t)
	policy := w.file("p.rego", streamPolicy(`"none"`, ""))
	w.run(w.streamSite(policy))
	kept, ended := w.openEvents("/events/kept"), w.openEvents("/events/ended")
	w.file("p.rego", streamPolicy(`"ended"`, ""))
	if rest, err := io.ReadAll(ended); err != nil {
		t.Errorf("the stream that the policy forbids goes on: %q, %v", rest, err)
	}
	if open := w.openPaths(); !slices.Equal(open, []string{"/events/kept"}) {
		t.Errorf("open are %q, want the one that the policy still admits", open)
	}
	_ = kept
}

// A reload with another policy, which now looks at a header that was not kept, leaves
// streams alone; one that does not forbids them.
func TestAPolicyThatLooksAtMoreThanWasKept(t *testing.T) {
	w := newWorld(t)
	w.run(w.streamSite(w.file("p.rego", streamPolicy(`"none"`, ""))))
	stream := w.openEvents("/events/a")
	w.run(w.streamSite(w.file("header.rego", streamPolicy(`"a"`, "\tinput.headers[\"x-tenant\"] == \"gold\"\n"))))
	if got := w.get("/events/a?room=a%20b", "good"); got.StatusCode != http.StatusForbidden {
		t.Fatalf("the new policy is not in use: got %d", got.StatusCode)
	}
	if open := w.openPaths(); !slices.Equal(open, []string{"/events/a"}) {
		t.Errorf("open are %q, want the stream that the policy cannot be asked about", open)
	}
	w.run(w.streamSite(w.file("closed.rego", streamPolicy(`"a"`, ""))))
	if rest, err := io.ReadAll(stream); err != nil {
		t.Errorf("the stream that the policy forbids goes on: %q, %v", rest, err)
	}
}

// What a policy sees of a stream's request is what it saw when that came in, or it is not
// asked.
func TestWhatAPolicySeesOfAStream(t *testing.T) {
	for name, test := range map[string]struct {
		config Config
		policy string // of allow
		want   string
	}{
		"what is kept":              {Config{}, `input.path == ["a"]; input.raw_path == "/%61"; input.scheme == "https"; input.client_ip == "192.0.2.7"; input.headers.host == "h"; input.request_token_data.sub == "ann"`, explain.Allow},
		"no body is shown":          {Config{}, `input.body_state == "off"`, explain.Allow},
		"a text":                    {Config{Context: map[string]string{"zone": "eu"}}, `input.context.zone == "eu"`, explain.Allow},
		"a denial":                  {Config{}, `input.method == "POST"`, explain.Deny},
		"a header":                  {Config{}, `input.headers["x-tenant"] != "gold"`, explain.Unknown},
		"all headers":               {Config{}, `count(input.headers) > 5`, explain.Unknown},
		"all of the input":          {Config{}, `count(input) == 0`, explain.Unknown},
		"a body":                    {Config{Body: bodyJSON}, `input.body.a == 1`, explain.Unknown},
		"a state of a body":         {Config{Body: bodyJSON}, `input.body_state == "complete"`, explain.Unknown},
		"the protocol":              {Config{}, `input.protocol == "HTTP/2.0"`, explain.Unknown},
		"a rule of another handler": {Config{}, `input.rule == "/??"`, explain.Unknown},
		"captures of one":           {Config{}, `input.captures[0] == "b"`, explain.Unknown},
		"an operation of one":       {Config{}, `input.operation == "list"`, explain.Unknown},
		"a person":                  {Config{}, `input.userinfo.name == "Ann"`, explain.Unknown},
		"a placeholder":             {Config{Context: map[string]string{"zone": "{http.request.header.zone}"}}, `input.context.zone == "eu"`, explain.Unknown},
		"a header of Kong":          {Config{Input: inputKong}, `input.request.http.headers["x-tenant"] != "gold"`, explain.Unknown},
		"the path of Kong":          {Config{Input: inputKong}, `input.request.http.path == "/a"`, explain.Allow},
		"a body of Envoy":           {Config{Input: inputEnvoy, Body: bodyRaw}, `input.truncated_body`, explain.Unknown},
		"the port of Envoy":         {Config{Input: inputEnvoy}, `input.attributes.source.address.socketAddress.portValue == 0`, explain.Unknown},
		"the target of Envoy":       {Config{Input: inputEnvoy}, `input.attributes.request.http.path == "/%61"`, explain.Allow},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			engine, err := opaengine.New(opaengine.Settings{Files: []string{w.file("p.rego", "package httpapi.authz\n\ndefault allow := false\n\nallow if { "+test.policy+" }\n")}})
			if err != nil {
				t.Fatal(err)
			}
			p := &PEP{Config: test.config, logger: zap.NewNop(), decider: &embedded{engine: engine, decision: "httpapi/authz/allow", limit: 10 * time.Second}}
			r := httptest.NewRequest(http.MethodGet, "https://h/%61", nil)
			r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: "192.0.2.7"}))
			id := &identity.Identity{Token: &token.Token{ClaimsJSON: `{"sub":"ann"}`}}
			q := &question{pep: p, r: r, id: id, path: "/a", rawPath: "/%61", isPast: true}
			refusal, err := p.explain(new(explain.Decision), q, nil, false)
			got := explain.Allow
			switch {
			case errors.Is(err, errNotKept):
				got = explain.Unknown
			case refusal != nil:
				got = explain.Deny
			}
			if got != test.want {
				t.Errorf("got %s (%v), want %s", got, err, test.want)
			}
		})
	}
}

// What asks servers about each request does not ask them about all streams at once.
func TestServersAreNotAskedAboutStreams(t *testing.T) {
	w := newWorld(t)
	byPolicy := func(rule string) decider {
		engine, err := opaengine.New(opaengine.Settings{
			Capabilities: opaengine.All,
			Files:        []string{w.file("p.rego", "package httpapi.authz\n\ndefault allow := false\n\nallow if { "+rule+" }\n")},
		})
		if err != nil {
			t.Fatal(err)
		}
		return &embedded{engine: engine}
	}
	for name, test := range map[string]struct {
		decider decider
		want    bool
	}{
		"a server":                   {new(server), false},
		"a policy that sends":        {byPolicy(`http.send({"method": "GET", "url": "http://127.0.0.1:9"}).status_code == 200`), false},
		"a policy that looks up":     {byPolicy(`net.lookup_ip_addr("localhost")`), false},
		"a policy that looks at now": {byPolicy(`time.now_ns() > 0`), true},
		"a policy that draws lots":   {byPolicy(`rand.intn("canary", 10) == 0`), false},
		"a policy that verifies":     {byPolicy(`io.jwt.decode_verify("a.b.c", {"secret": "s"})[0]`), true},
		"a policy":                   {byPolicy(`input.method == "GET"`), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&PEP{decider: test.decider}).judgesPast(); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

// Now is, to a policy, when the stream began: that an hour has passed ends none.
func TestAPolicyIsAskedAsOfTheBeginningOfAStream(t *testing.T) {
	w := newWorld(t)
	began := time.Now().Add(-2 * time.Hour)
	policy := fmt.Sprintf("package httpapi.authz\n\ndefault allow := false\n\nallow if time.now_ns() < %d\n", began.Add(time.Hour).UnixNano())
	engine, err := opaengine.New(opaengine.Settings{Files: []string{w.file("p.rego", policy)}})
	if err != nil {
		t.Fatal(err)
	}
	p := &PEP{logger: zap.NewNop(), decider: &embedded{engine: engine, decision: "httpapi/authz/allow", limit: 10 * time.Second}}
	for name, c := range map[string]struct {
		isPast bool
		want   bool // that it is refused
	}{"a request": {false, true}, "a stream": {true, false}} {
		q := &question{pep: p, r: httptest.NewRequest(http.MethodGet, "/a", nil), id: new(identity.Identity), path: "/a", started: began, isPast: c.isPast}
		if refusal, err := p.explain(new(explain.Decision), q, nil, false); err != nil || (refusal != nil) != c.want {
			t.Errorf("%s: got %+v, %v", name, refusal, err)
		}
	}
}

// streamSite is a site with an upstream whose answers have no end.
func (w *world) streamSite(policy string) string {
	w.Helper()
	events := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(rw).Flush()
		<-r.Context().Done()
	}))
	w.Cleanup(events.Close)
	source := strings.ReplaceAll(w.config("opa {\n policy "+policy+" watch\n}", "gluu_oauth_auth\ngluu_opa_pep {\n timeout 10s\n}"),
		strings.TrimPrefix(w.upstream.URL, "http://"), events.Listener.Addr().String())
	return strings.Replace(source, "http://"+w.address+" {", ":"+w.address[strings.LastIndex(w.address, ":")+1:]+" {\nbind 127.0.0.1", 1)
}

// openEvents opens an event stream and returns its body.
func (w *world) openEvents(path string) io.Reader {
	w.Helper()
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(conn, strings.ReplaceAll("GET "+path+"?room=a%20b HTTP/1.1\nHost: "+streamHost+"\nAccept: text/event-stream\nAuthorization: Bearer good\n\n", "\n", "\r\n"))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		w.Fatalf("%s: got %v (%v), want an event stream", path, answer, err)
	}
	return answer.Body
}

// openPaths are those of the streams that are open.
func (w *world) openPaths() (paths []string) {
	for _, s := range streams.Open.List(func(streams.Info) bool { return true }) {
		paths = append(paths, s.Path)
	}
	return paths
}
