// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/streams"
)

// After a reload a stream is judged by what the handler with the rules sees, which may
// not be what the client has sent.
func TestAReloadJudgesStreamsBehindARewrite(t *testing.T) {
	events := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(events.Close)
	site := func(scope string) string {
		return "uri strip_prefix /api\ngluu_oauth_auth\ngluu_oauth_pep {\npath /kept {\nGET scope read\n}\npath /ended {\nGET scope " + scope + "\n}\n}\n" +
			"reverse_proxy " + events.Listener.Addr().String()
	}
	g := start(t, simpleApp, "respond ok")
	g.bare = true // so that any host is served
	g.load(simpleApp, site("read"))
	g.auth.issue("good", claims("client-a", "read"))

	kept, ended := g.openEvents("/api/kept", "api.example.com"), g.openEvents("/api/ended", "api.example.com:odd")
	g.load(simpleApp, site("admin"))
	if rest, err := io.ReadAll(ended); err != nil {
		t.Errorf("the stream that its rule forbids goes on: %q, %v", rest, err)
	}
	open := streams.Open.List(func(s streams.Info) bool { return s.ClientID == "client-a" })
	if len(open) != 1 || open[0].Path != "/api/kept" {
		t.Errorf("open are %+v, want the one that its rule still admits", open)
	}
	_ = kept
}

// openEvents opens an event stream and returns its body.
func (g *gateway) openEvents(path, host string) io.Reader {
	g.Helper()
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, strings.ReplaceAll("GET "+path+" HTTP/1.1\nHost: "+host+"\nAccept: text/event-stream\nAuthorization: Bearer good\n\n", "\n", "\r\n"))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		g.Fatalf("%s: got %v (%v), want an event stream; %s", path, answer, err, g.lastReason())
	}
	return answer.Body
}
