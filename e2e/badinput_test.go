// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// deepJSON is a JWT part whose JSON nests deeper than a parser should go.
var deepJSON = strings.Repeat(`{"a":[`, 2000) + strings.Repeat(`]}`, 2000)

// junk are credentials that broke one parser or another.
func junk(jwt string) []string {
	parts := strings.Split(jwt, ".")
	return []string{
		strings.Repeat(".", 16000),
		strings.Repeat("a.", 8000),
		"..", "...", "....", ".a.", "a..b", "=", "==", "a=b", "a==",
		parts[0] + "." + parts[1],
		parts[0] + ".." + parts[2],
		jwt + ".x.y", // five parts: encrypted
		jwt + "." + jwt,
		encode("{}") + "." + encode("{}") + "." + encode("x"),
		encode(`{"alg":"RS256"`) + "." + parts[1] + "." + parts[2],
		encode("null") + "." + encode("null") + ".",
		encode("[]") + "." + encode("[]") + "." + parts[2],
		encode(`{"alg":1,"kid":{}}`) + "." + parts[1] + "." + parts[2],
		encode(`{"alg":"RS256","crit":["exp"],"exp":1}`) + "." + parts[1] + "." + parts[2],
		encode(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647}`) + ".a.b.c.d",
		encode(`{"alg":"dir","enc":"A128GCM","zip":"DEF"}`) + "..a.b.c",
		encode(`{"alg":"RS256","jku":"http://127.0.0.1:1/","x5u":"http://127.0.0.1:1/"}`) + "." + parts[1] + "." + parts[2],
		parts[0] + "." + encode(`{"exp":1e400}`) + "." + parts[2],
		parts[0] + "." + encode(`{"exp":"soon","scope":{"a":1},"aud":[[]]}`) + "." + parts[2],
		parts[0] + "." + encode(deepJSON[:12000]) + "." + parts[2],
		parts[0] + "." + encode(`{"iss":"`+strings.Repeat("x", 9000)+`"}`) + "." + parts[2],
	}
}

// Whatever is sent as a token: a refusal, none of it in the log, and the next
// caller is served.
func TestJunkTokens(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	valid := a.server.Token(t, todoApp, harness.JWT, "todos:read")
	for _, token := range junk(valid) {
		for _, client := range a.Clients() {
			response := a.SendOver(client, get("/todos", token))
			if response.Status != 400 && response.Status != 401 {
				t.Errorf("%s with %.60q: got %s, want 400 or 401", client.Protocol(), token, response)
			}
		}
		a.passed(get("/todos", valid))
	}
	if got, want := a.upstream.Count(), len(junk(valid)); got != want {
		t.Errorf("the upstream received %d requests, want %d", got, want)
	}
}

// The pieces that raw requests are made of: request lines and headers, right
// and wrong.
var (
	rawMethods = []string{"GET", "POST", "get", "", "CONNECT", "OPTIONS", "G\x00T", "\xff", strings.Repeat("M", 9000)}
	rawTargets = []string{
		"/todos", "/", "*", "", "//", "/todos HTTP/1.1\r\nX: y", "http://127.0.0.1/todos", "http://[::1", "127.0.0.1:80",
		"/%", "/%00", "/todos/../x", "/\xff\xfe", "/" + strings.Repeat("a", 70000), "/" + strings.Repeat("a/", 5000), "?", "#", "/?" + strings.Repeat("a&", 30000),
	}
	rawVersions = []string{"HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1\r\n", "", "HTTP/1.10", "x"}
	rawHeaders  = []string{
		"Authorization: Bearer not-a-token", "Authorization: Bearer", "Authorization:", "Authorization", ": x",
		"Authorization: Bearer a\x00b", "Authorization: Bearer \r\n folded", "Authorization\x00: Bearer x", " Authorization: Bearer x",
		"Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 5\r\nContent-Length: 6", "Content-Length: 0x5",
		"Transfer-Encoding: chunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: \x0bchunked",
		"Connection: Authorization, Host", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
		"Upgrade: websocket\r\nConnection: Upgrade", "Expect: 100-continue", "Expect: nonsense", "Host: a\r\nHost: b", "Host: \xff",
		"X: " + strings.Repeat("x", 100000), strings.Repeat("X: y\r\n", 2000) + "X: y", "Trailer: Authorization", "TE: trailers",
	}
	rawBodies = []string{"", "hello", "5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\n\r\n", "zz\r\n", "GET /todos HTTP/1.1\r\nHost: x\r\n\r\n"}
)

// Requests that no client would write, and bytes that are not a request:
// an answer or the end of the connection, never the upstream.
func TestRawBytes(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	valid := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	pid := a.Pid()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	pick := func(from []string) string { return from[random.IntN(len(from))] }

	for i := range 600 {
		var raw strings.Builder
		if i%6 == 0 {
			for range random.IntN(4000) {
				raw.WriteByte(byte(random.Uint32()))
			}
		} else {
			raw.WriteString(pick(rawMethods) + " " + pick(rawTargets) + " " + pick(rawVersions) + "\r\n")
			if random.IntN(5) > 0 {
				raw.WriteString("Host: " + a.Addr + "\r\n")
			}
			for range random.IntN(4) {
				raw.WriteString(pick(rawHeaders) + "\r\n")
			}
			raw.WriteString("\r\n" + pick(rawBodies))
		}
		text := raw.String()
		if i%10 == 0 {
			text = text[:random.IntN(len(text)+1)]
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		response, err := harness.SendAndHangUp(ctx, a.Addr, []byte(text))
		if ctx.Err() != nil {
			t.Errorf("seed %d, request %d: no answer within 30 s to %.200q", seed, i, text)
		}
		cancel()
		if err == nil && response.Status == 200 && response.Body != "" {
			t.Errorf("seed %d, request %d: got %s for %.200q", seed, i, response, text)
		}
	}
	if n := a.upstream.Count(); n != 0 {
		t.Errorf("seed %d: the upstream received %d requests, the first %+v", seed, n, a.upstream.Received()[0])
	}
	a.passed(get("/todos", valid))
	select {
	case <-a.Ended():
		t.Errorf("the gateway (process %d) ended", pid)
	default:
	}
}
