// SPDX-License-Identifier: Apache-2.0

package caddyoidc_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

func TestAnOperatorEndsTheSessionsOfAPerson(t *testing.T) {
	s := newSite(t)
	s.admin = caddytest.FreeAddress(t)
	ask := func(method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+s.admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, strings.TrimSpace(string(body))
	}
	s.mustRun("", "respond ok")
	if status, body := ask("GET", "/gluu/sessions?sub=alice"); status != 404 {
		t.Errorf("without a handler that keeps sessions: got %d %s", status, body)
	}
	s.mustRun("", "gluu_openid_connect")
	one, two := s.browser(), s.browser()
	s.get(one, "/", nil)
	s.get(two, "/", nil)
	var listed struct {
		Sessions int
		Times    []struct{ Created, Seen, Expires time.Time }
	}
	_, body := ask("GET", "/gluu/sessions?sub=alice")
	if err := json.Unmarshal([]byte(body), &listed); err != nil || listed.Sessions != 2 || len(listed.Times) != 2 {
		t.Fatalf("got %s, want two sessions", body)
	}
	for _, times := range listed.Times {
		if now := time.Now(); now.Sub(times.Created) > time.Minute || now.Sub(times.Seen) > time.Minute || !times.Expires.After(now.Add(30*time.Minute)) {
			t.Errorf("got %s at %s", body, now)
		}
	}
	for _, step := range []struct {
		method, query string
		status        int
		body          string
	}{
		{"GET", "?sub=alice&iss=https://other.example", 200, `{"sessions":0,"times":[]}`},
		{"GET", "", 400, ""},
		{"DELETE", "", 400, ""},
		{"POST", "?sub=alice", 405, ""},
		{"DELETE", "?sub=bob", 200, `{"ended":0}`},
		{"DELETE", "?sub=alice&iss=" + url.QueryEscape(s.op.Issuer()), 200, `{"ended":2}`},
		{"GET", "?sub=alice", 200, `{"sessions":0,"times":[]}`},
	} {
		if status, body := ask(step.method, "/gluu/sessions"+step.query); status != step.status || step.body != "" && body != step.body {
			t.Errorf("%s %s: got %d %s, want %d %s", step.method, step.query, status, body, step.status, step.body)
		}
	}
	for _, person := range []*http.Client{one, two} {
		if status, body, _ := s.get(person, "/", program); status != 401 {
			t.Errorf("an ended session: got %d %s, want 401", status, body)
		}
	}
	_, metrics := ask("GET", "/metrics")
	for _, want := range []string{
		`gluu_openid_connect_logouts_total{kind="admin",provider="default"} 2`,
		`gluu_openid_connect_logins_total{outcome="started",provider="default"} 2`,
		`gluu_openid_connect_logins_total{outcome="completed",provider="default"} 2`,
		`gluu_openid_connect_users_authenticated{consumer="",provider="default"} 2`,
		`gluu_session_lookups_total{result="hit"} 2`, `gluu_session_lookups_total{result="miss"} 2`,
		`gluu_sessions{store="embedded"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if t.Failed() {
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, "gluu_") {
				t.Log(line)
			}
		}
	}
}
