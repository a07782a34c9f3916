// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-gluu/gateway/internal/token"
)

func TestChallengesAreQuoted(t *testing.T) {
	for _, test := range []struct {
		challenge       Challenge
		realm, metadata string
		want            string
	}{
		{Challenge{Scheme: Bearer}, "api", "", `Bearer realm="api"`},
		{Challenge{Scheme: Bearer}, `a "b" \c`, "", `Bearer realm="a \"b\" \\c"`},
		{Challenge{Scheme: DPoP, Params: []Param{{"error", "x"}, {"scope", "a b"}}}, "api", "https://api/.well-known/x", `DPoP realm="api", error="x", scope="a b", resource_metadata="https://api/.well-known/x"`},
		{Challenge{Scheme: "UMA", Params: []Param{{"ticket", "a\r\nX: 1\x00é"}}}, "api", "", `UMA realm="api", ticket="a??X: 1???"`},
	} {
		if got := string(test.challenge.append(nil, test.realm, test.metadata)); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestScopesThatAChallengeCannotNameAreLeftOut(t *testing.T) {
	for scopes, named := range map[string]bool{"a b": true, "todos:read": true, `a"b`: false, `a\b`: false, "é": false, "": false} {
		r := InsufficientScope(scopes)
		if got := len(r.Challenge.Params) == 2; got != named {
			t.Errorf("%q: named %t, want %t", scopes, got, named)
		}
		if !named && scopes != "" && strings.Contains(r.Description, scopes) {
			t.Errorf("%q: got the description %q", scopes, r.Description)
		}
	}
}

func TestWhatAProviderSaysBecomesARefusal(t *testing.T) {
	for _, test := range []struct {
		err       token.Error
		status    int
		challenge string
		fields    int
	}{
		{token.Error{Reason: token.Invalid}, 401, `Bearer realm="api", error="invalid_token"`, 0},
		{token.Error{Reason: token.Inactive}, 401, `Bearer realm="api", error="invalid_token"`, 0},
		{token.Error{Reason: token.Expired}, 401, `Bearer realm="api", error="invalid_token"`, 0},
		{token.Error{Reason: token.Bound}, 401, `Bearer realm="api", error="invalid_token"`, 0},
		{token.Error{Reason: token.Bound, Scheme: "DPoP", Code: "use_dpop_nonce", Nonce: "n"}, 401, `DPoP realm="api", error="use_dpop_nonce"`, 1},
		{token.Error{Reason: token.ProviderUnavailable}, 503, "", 0},
		{token.Error{Reason: token.Unreadable}, 503, "", 0},
		{token.Error{Reason: token.Limited}, 429, "", 0},
	} {
		r := InvalidToken(&test.err)
		challenge := ""
		if r.Challenge != nil {
			challenge = string(r.Challenge.append(nil, "api", ""))
		}
		if r.Status != test.status || r.Reason != string(test.err.Reason) || challenge != test.challenge || len(r.Fields) != test.fields {
			t.Errorf("%s: got %+v with the challenge %q", test.err.Reason, r, challenge)
		}
		// Where nothing is known about a token, its sender is not anonymous.
		if isRefusal := test.err.IsRefusal(); r.isAboutToken() != isRefusal || (r.RetryAfter == 0) != isRefusal {
			t.Errorf("%s: may go on as anonymous: %t, Retry-After %s", test.err.Reason, r.isAboutToken(), r.RetryAfter)
		}
	}
	if got := asProviderError(errors.New("something")); got.Reason != token.ProviderUnavailable {
		t.Errorf("an unclassified error became %s", got.Reason)
	}
}

func testMetrics() *Metrics {
	r := registrar{registry: prometheus.NewRegistry()}
	return &Metrics{refused: r.vector("refused", "", "reason", "rule")}
}

func TestRefuse(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	a := Answerer{JSON: true, Logger: zap.New(core), Metrics: testMetrics()}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/a%20b?token=secret", nil)
	if err := a.Refuse(w, r, Unavailable(1500*time.Millisecond, errors.New("refused"))); err != nil {
		t.Fatal(err)
	}
	if w.Code != 503 || w.Header().Get("Retry-After") != "2" || w.Header().Get("Cache-Control") != "no-store" ||
		w.Header().Get("Content-Type") != "application/json" || w.Header()["Www-Authenticate"] != nil {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	if got, want := w.Body.String(), `{"error":"temporarily_unavailable","error_description":"The authorization server cannot be reached at the moment. Try again later."}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if logs.Len() != 1 {
		t.Fatalf("got %d log lines, want 1", logs.Len())
	}
	entry := logs.All()[0]
	fields := entry.ContextMap()
	if entry.Level != zap.ErrorLevel || fields["reason"] != "provider_unavailable" || fields["path"] != "/a%20b" {
		t.Errorf("got %v %v", entry, fields)
	}
	for name, value := range fields {
		if s, ok := value.(string); ok && strings.Contains(s, "secret") {
			t.Errorf("the field %s has the query: %s", name, s)
		}
	}
	long := httptest.NewRequest("GET", "/"+strings.Repeat("a", 5000), nil)
	if err := a.Refuse(httptest.NewRecorder(), long, NoRule()); err != nil {
		t.Fatal(err)
	}
	if path := logs.All()[1].ContextMap()["path"].(string); len(path) > 300 {
		t.Errorf("a path of %d bytes in the log", len(path))
	}
}

// A client that hangs up while its token is verified gets no answer that could
// be counted, and raises no alarm: the authorization server may be healthy.
func TestAClientThatHangsUpRaisesNoAlarm(t *testing.T) {
	hungUp, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for name, test := range map[string]struct {
		ctx     context.Context
		refusal Refusal
		level   zapcore.Level
		count   float64
	}{
		"hung up":                    {hungUp, Unavailable(0, context.Canceled), zap.DebugLevel, 0},
		"waits":                      {t.Context(), Unavailable(0, errors.New("status 500")), zap.ErrorLevel, 1},
		"given up by the gateway":    {late, Unavailable(0, context.DeadlineExceeded), zap.ErrorLevel, 1},
		"hung up, of no token":       {hungUp, NoToken(), zap.InfoLevel, 1},
		"hung up, of the gateway":    {hungUp, Internal(errors.New("no key")), zap.ErrorLevel, 1},
		"hung up, without a handler": {hungUp, NotAuthenticated(), zap.ErrorLevel, 1},
	} {
		core, logs := observer.New(zap.DebugLevel)
		a := Answerer{JSON: true, Logger: zap.New(core), Metrics: testMetrics()}
		if err := a.Refuse(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(test.ctx), test.refusal); err != nil {
			t.Fatal(err)
		}
		var counted dto.Metric
		if err := a.Metrics.refused.WithLabelValues(test.refusal.Reason, "").Write(&counted); err != nil {
			t.Fatal(err)
		}
		if n := counted.GetCounter().GetValue(); n != test.count || logs.Len() != 1 || logs.All()[0].Level != test.level {
			t.Errorf("%s: counted %v times and logged %v, want %v times and %v", name, n, logs.All(), test.count, test.level)
		}
	}
}

func TestSentence(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "A.", "the path": "The path.", "Done.": "Done."} {
		if got := Sentence(in); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMethodsAreBounded(t *testing.T) {
	for method, want := range map[string]string{
		http.MethodGet: "GET", http.MethodTrace: "TRACE", "get": "other", "": "other", "other": "other", "M-SEARCH": "other",
	} {
		if got := methodLabels[MethodOf(method)]; got != want {
			t.Errorf("%s: got %s, want %s", method, got, want)
		}
	}
}
