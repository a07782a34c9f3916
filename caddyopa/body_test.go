// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// bodyPolicy lets a request pass whose body does not say that it is for an admin, in
// the way that invites mistakes: by what is not there.
const bodyPolicy = `package httpapi.authz

default allow := false

allow if {
	input.body_state in {"complete", "none"}
	not input.body.admin
}

allow if input.headers["x-expect-state"] == input.body_state
`

func typed(kind string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Content-Type", kind) }
}

// Whether there is a body is found out by reading it.
func TestSec_S303_AChunkedBodyIsSeen(t *testing.T) {
	w := newWorld(t).start(bodyPolicy, "body json")
	chunked := func(r *http.Request) {
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = io.NopCloser(r.Body), -1
	}
	if got := w.send("POST", "/", "good", `{"admin": true}`, chunked); got.StatusCode != 403 {
		t.Errorf("got %d, want 403", got.StatusCode)
	}
	if got := w.send("POST", "/", "good", `{"user": true}`, chunked); got.StatusCode != 200 || string(w.last().body) != `{"user": true}` || w.last().ContentLength != -1 {
		t.Errorf("got %d, the upstream received %q", got.StatusCode, w.last().body)
	}
	if got := w.send("GET", "/", "good", "", nil); got.StatusCode != 200 {
		t.Errorf("without a body: got %d, want 200", got.StatusCode)
	}
}

// A body that is too long is never taken for an empty one.
func TestSec_S304_ALongBodyIsNotAnEmptyOne(t *testing.T) {
	long := `{"admin": true, "x": "` + strings.Repeat("x", 200) + `"}`
	w := newWorld(t).start(bodyPolicy, "body json 100")
	w.wantReason(413, "body_too_large", w.send("POST", "/", "good", long, typed("application/json")))
	w = newWorld(t).start(bodyPolicy, "body json 100\nbody_overflow omit")
	if got := w.send("POST", "/", "good", long, typed("application/json")); got.StatusCode != 403 {
		t.Errorf("omitted: got %d, want 403", got.StatusCode)
	}
	got := w.send("POST", "/", "good", long, func(r *http.Request) {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Expect-State", "too_large")
	})
	if got.StatusCode != 200 || string(w.last().body) != long {
		t.Errorf("got %d, the upstream received %d of %d bytes", got.StatusCode, len(w.last().body), len(long))
	}
	exact := `{"x": "` + strings.Repeat("x", 100-9) + `"}`
	if got := w.send("POST", "/", "good", exact, typed("application/json")); len(exact) != 100 || got.StatusCode != 200 {
		t.Errorf("%d bytes: got %d, want 200", len(exact), got.StatusCode)
	}
}

// A body that cannot be understood is refused, and every byte of one that can is sent
// to the upstream.
func TestSec_S306_EveryByteIsReplayed(t *testing.T) {
	w := newWorld(t).start(bodyPolicy, "body json")
	for _, body := range []string{`{"a": `, `{"a": 1`, `nonsense`, `{'a': 1}`, "\ufeff{}"} {
		w.wantReason(400, "malformed_request", w.send("POST", "/", "good", body, typed("application/json")))
	}
	for _, body := range []string{` { "a" : 1.0e2 , "b":"\u0041" } ` + "\n", `[]`, `5`, `null`, `""`} {
		if got := w.send("POST", "/", "good", body, typed("application/json; charset=utf-8")); got.StatusCode != 200 || string(w.last().body) != body {
			t.Errorf("%q: got %d %s, the upstream received %q", body, got.StatusCode, got.text, w.last().body)
		}
	}
}

// A body that two programs read differently is refused.
func TestSec_S307_ABodyHasOneMeaning(t *testing.T) {
	w := newWorld(t).start(bodyPolicy, "body json")
	for _, body := range []string{
		`{"admin": true, "admin": false}`, `{"a": {"b": 1, "\u0062": 2}}`, `{}{}`, `{} x`, `{"a": "` + "\xff" + `"}`, `{"a": "\ud800"}`, `{"\udc00": 1}`,
		strings.Repeat("[", 66) + strings.Repeat("]", 66), `{"n": 1e999999999}`, `{"n": 1` + strings.Repeat("0", 1000) + `}`, `{"n": 01}`, `{"n": NaN}`,
	} {
		w.wantReason(400, "malformed_request", w.send("POST", "/", "good", body, typed("application/json")))
	}
	for _, body := range []string{strings.Repeat("[", 65) + strings.Repeat("]", 65), `{"n": 1e300, "m": -0.5E-10}`} {
		if got := w.send("POST", "/", "good", body, typed("application/json")); got.StatusCode != 200 {
			t.Errorf("%.40s: got %d %s, want 200", body, got.StatusCode, got.text)
		}
	}
	exact := newWorld(t).start("package httpapi.authz\n\ndefault allow := false\n\nallow if input.body.n == 9007199254740993\n", "body json")
	for body, want := range map[string]int{`{"n": 9007199254740993}`: 200, `{"n": 9007199254740992}`: 403} {
		if got := exact.send("POST", "/", "good", body, typed("application/json")); got.StatusCode != want {
			t.Errorf("%s: got %d, want %d", body, got.StatusCode, want)
		}
	}
}

// A policy never decides about other bytes than the API acts on.
func TestSec_S308_AnEncodedBodyIsRefused(t *testing.T) {
	encoded := func(encoding string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Content-Type", "application/json")
			r.Header["Content-Encoding"] = strings.Split(encoding, "|")
		}
	}
	for _, form := range []string{"json", "form", "raw"} {
		w := newWorld(t).start(bodyPolicy, "body "+form)
		for _, encoding := range []string{"gzip", "GZIP", "identity, gzip", "br", "identity|deflate", "x"} {
			w.wantReason(415, "body_unsupported", w.send("POST", "/", "good", `{}`, encoded(encoding)))
		}
	}
	w := newWorld(t).start(bodyPolicy, "body json\nbody_overflow omit")
	got := w.send("POST", "/", "good", "{}", func(r *http.Request) { encoded("gzip")(r); r.Header.Set("X-Expect-State", "encoded") })
	if got.StatusCode != 200 || string(w.last().body) != "{}" {
		t.Errorf("omitted: got %d %s", got.StatusCode, got.text)
	}
	if got := w.send("POST", "/", "good", "{}", encoded("identity")); got.StatusCode != 200 {
		t.Errorf("identity: got %d %s", got.StatusCode, got.text)
	}
}

func TestBodiesOfOtherTypes(t *testing.T) {
	for _, test := range []struct {
		form, kind, body string
		status           int
	}{
		{"json", "text/plain", "{}", 415},
		{"json", "", "{}", 415},
		{"json", "application/json; charset=iso-8859-1", "{}", 415},
		{"json", "application/problem+json", "{}", 200},
		{"json", "text/x+json", "{}", 415},
		{"form", "application/x-www-form-urlencoded", "a=b", 200},
		{"form", "application/x-www-form-urlencoded", "admin=1", 403},
		{"form", "application/x-www-form-urlencoded", "admin", 403},
		{"form", "application/x-www-form-urlencoded", "a=%zz", 400},
		{"form", "multipart/form-data; boundary=x", "--x--", 415},
		{"form", "application/json", "{}", 415},
		{"raw", "text/plain", "\xff\x00", 200},
		{"off", "text/plain", "x", 403},
	} {
		t.Run(test.form+" "+test.kind+" "+test.body, func(t *testing.T) {
			w := newWorld(t).start(bodyPolicy, "body "+test.form)
			change := func(r *http.Request) { r.Header["Content-Type"] = nil }
			if test.kind != "" {
				change = typed(test.kind)
			}
			got := w.send("POST", "/", "good", test.body, change)
			if got.StatusCode != test.status {
				t.Errorf("got %d %s, want %d", got.StatusCode, got.text, test.status)
			}
			if test.status == 200 && string(w.last().body) != test.body {
				t.Errorf("the upstream received %q", w.last().body)
			}
		})
	}
	twice := newWorld(t).start(bodyPolicy, "body json")
	w := twice.send("POST", "/", "good", "{}", func(r *http.Request) { r.Header["Content-Type"] = []string{"application/json", "text/plain"} })
	twice.wantReason(415, "body_unsupported", w)
}

func TestARawBodyIsBase64(t *testing.T) {
	w := newWorld(t).start("package httpapi.authz\n\ndefault allow := false\n\nallow if input.body == \"/wAh\"\n", "body raw")
	if got := w.send("POST", "/", "good", "\xff\x00!", nil); got.StatusCode != 200 {
		t.Errorf("got %d %s, want 200", got.StatusCode, got.text)
	}
}
