// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// receivedWorld is a gateway with all variants of the handler, and an upstream
// that keeps what it receives.
type receivedWorld struct {
	client   *handWriter
	upstream *recorder
	passed   int
}

func newReceivedWorld(t testing.TB) *receivedWorld {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"public/x", "public/index.html", "admin/secret", "a b"} {
		name = filepath.Join(dir, "root", name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	auth, up, address := newAuthServer(t), newRecorder(t), caddytest.FreeAddress(t)
	for _, caller := range receivedCallers {
		auth.issue(caller.token, claims("client-"+caller.token, caller.scopes))
	}
	config, err := caddytest.Adapt(receivedSite(dir, address, auth.URL, up.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddytest.Load(config, address); err != nil {
		t.Fatal(err)
	}
	w := &receivedWorld{client: &handWriter{address: address}, upstream: up}
	t.Cleanup(func() {
		w.client.close()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// try sends a request through one variant for one caller, and judges what the
// upstream receives.
func (w *receivedWorld) try(t *testing.T, in receivedInput, variant, caller int) {
	t.Helper()
	fields := in.fields(receivedVariants[variant].name, receivedCallers[caller].token)
	var head strings.Builder
	fmt.Fprintf(&head, "%s HTTP/1.1\r\nHost: %s\r\n", in.line, w.client.address)
	for _, field := range fields {
		fmt.Fprintf(&head, "%s: %s\r\n", field.Name, field.Value)
	}
	head.WriteString("\r\n")
	method, _, _ := strings.Cut(in.line, " ")
	status := w.client.send(t, method, head.String())
	w.judge(t, in, variant, caller, "HTTP/1.1", status)
}

// tryHTTP2 is try over HTTP/2, whose path may contain
// spaces.
func (w *receivedWorld) tryHTTP2(t *testing.T, in receivedInput, variant, caller int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	method, target, _ := strings.Cut(in.line, " ")
	if _, query, _ := strings.Cut(target, "?"); strings.ContainsFunc(query, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return // net/http refuses it before any handler
	}
	status := 0
	response, err := harness.HTTP2(w.client.address).Do(ctx, harness.Request{
		Method: method, Target: target, Fields: in.fields(receivedVariants[variant].name, receivedCallers[caller].token),
	})
	if err == nil {
		status = response.Status
	}
	w.judge(t, in, variant, caller, "HTTP/2", status)
}

// fields are the header fields that choose what a request goes through.
func (in receivedInput) fields(variant, token string) []harness.Field {
	fields := []harness.Field{{Name: "X-Target", Value: in.target}, {Name: "X-Variant", Value: variant}}
	if token != "" {
		fields = append(fields, harness.Bearer(token))
	}
	if in.strip {
		fields = append(fields, harness.Field{Name: "X-Strip", Value: "1"})
	}
	for i, step := range in.steps[:min(len(in.steps), maxSteps)] {
		fields = append(fields, harness.Field{Name: fmt.Sprintf("X-Step-%d", i), Value: strconv.Itoa(int(step) % len(uriHandlers))})
	}
	return fields
}

// judge judges what the upstream has received of a request, if anything.
func (w *receivedWorld) judge(t *testing.T, in receivedInput, variant, caller int, protocol string, status int) {
	t.Helper()
	v, c := receivedVariants[variant], receivedCallers[caller]
	received := w.upstream.take()
	if received == nil {
		return
	}
	w.passed++
	complain := func(format string, args ...any) {
		t.Errorf("%s\nthe request was %q (target %q, steps %v, strip %t) by %q over %s to %s, the answer %d, and the upstream received %q",
			fmt.Sprintf(format, args...), in.line, in.target, in.steps, in.strip, c.token, protocol, v.name, status, received[0])
	}
	judge(received, v.open, v.keep, c.token, complain)
	_, target, _ := strings.Cut(in.line, " ")
	if len(in.steps) == 0 && !in.strip && !v.allow && strings.HasPrefix(target, "/") {
		path, _, _ := strings.Cut(target, "?")
		if got := strings.Fields(received[0])[1]; !strings.HasPrefix(got+"?", spelledAs(path)+"?") {
			complain("want it spelled as %q", spelledAs(path))
		}
	}
}

// recorder is an upstream that keeps the head of the last request.
type recorder struct {
	net.Listener
	mu   sync.Mutex
	head []string
}

func newRecorder(t testing.TB) *recorder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &recorder{Listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go u.serve(conn)
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return u
}

func (u *recorder) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		var head []string
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
			head = append(head, strings.TrimSuffix(line, "\r\n"))
		}
		u.mu.Lock()
		u.head = head
		u.mu.Unlock()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

// take returns the head of the request since the last call, nil if none.
func (u *recorder) take() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	head := u.head
	u.head = nil
	return head
}

// receivedSite writes the configuration of the test.
func receivedSite(dir, address, issuer, upstream string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\nadmin off\nauto_https off\nstorage file_system %s/storage\npersist_config off\ngrace_period 1s\nservers {\nprotocols h1 h2c\n}\nlog {\noutput discard\n}\n", dir)
	fmt.Fprintf(&b, "gluu {\n"+provider+"consumer guest\n}\n}\n", issuer)
	fmt.Fprintf(&b, "%s {\nroot %s/root\n", address[strings.LastIndexByte(address, ':'):], dir)
	for step := range maxSteps {
		for i := range uriHandlers {
			fmt.Fprintf(&b, "@step%[1]d-%[2]d header X-Step-%[1]d %[2]d\n", step, i)
		}
	}
	b.WriteString("@strip header X-Strip 1\nroute {\nroute @strip {\nhandle_path /api/* {\nimport chain\n}\n}\nimport chain\n}\n}\n")

	var chain strings.Builder
	chain.WriteString("(chain) {\nroute {\n")
	for step := range maxSteps {
		for i, handler := range uriHandlers {
			fmt.Fprintf(&chain, "route @step%d-%d {\n%s\n}\n", step, i, handler)
		}
	}
	chain.WriteString("gluu_oauth_auth {\nanonymous guest\nconsumer_mapping false\n}\n")
	for _, v := range receivedVariants {
		fmt.Fprintf(&chain, "@%[1]s header X-Variant %[1]s\ngluu_recording_pep @%[1]s {\n", v.name)
		if v.allow {
			chain.WriteString("ambiguous_paths allow\n")
		}
		if v.keep {
			chain.WriteString("encoded_slashes keep\n")
		}
		if v.open {
			chain.WriteString("deny_by_default false\n")
		}
		for _, rule := range receivedRules {
			if !v.open || rule.pattern != catchAll {
				fmt.Fprintf(&chain, "path %s {\n%s scope %s\n}\n", rule.pattern, strings.Join(rule.methods, " "), rule.scope)
			}
		}
		chain.WriteString("}\n")
	}
	fmt.Fprintf(&chain, "reverse_proxy %s {\nheader_up X-Rule {gluu.rule}\nheader_up X-Original {http.request.orig_uri}\n}\n}\n}\n", upstream)

	// A snippet goes before its use and after the global options.
	source := b.String()
	cut := strings.Index(source, "\n}\n}\n") + len("\n}\n}\n")
	return source[:cut] + chain.String() + source[cut:]
}

// handWriter sends requests as they are, over one connection as long as it
// lasts.
type handWriter struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
}

// send writes the head of a request and returns the status of the answer, 0
// if there was none.
func (w *handWriter) send(t testing.TB, method, head string) int {
	for attempt := range 2 {
		fresh := w.conn == nil
		if fresh {
			conn, err := net.Dial("tcp", w.address)
			if err != nil {
				t.Fatal(err)
			}
			// No pile of sockets in TIME_WAIT.
			_ = conn.(*net.TCPConn).SetLinger(0)
			w.conn, w.in = conn, bufio.NewReader(conn)
		}
		_ = w.conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err := io.WriteString(w.conn, head)
		if err == nil {
			var resp *http.Response
			if resp, err = http.ReadResponse(w.in, &http.Request{Method: method}); err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.Close {
					w.close()
				}
				return resp.StatusCode
			}
		}
		w.close()
		if fresh || attempt > 0 {
			return 0
		}
	}
	return 0
}

func (w *handWriter) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}
