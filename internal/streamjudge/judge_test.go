// SPDX-License-Identifier: Apache-2.0

package streamjudge

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/routemap"
	"github.com/caddy-gluu/gateway/internal/streams"
	"github.com/caddy-gluu/gateway/internal/token"
)

// decides is a handler with rules; admits one with groups.
type (
	decides explain.Decision
	admits  explain.AccessList
)

func (d decides) ExplainRequest(*http.Request, *explain.Caller, bool) *explain.Decision {
	decision := explain.Decision(d)
	return &decision
}

func (a admits) ExplainCaller(*explain.Caller) explain.AccessList { return explain.AccessList(a) }

// A stream goes on unless a handler refuses its caller for good.
func TestWhatEndsAStreamAfterAReload(t *testing.T) {
	forbidden, notReady := &explain.Refusal{Status: 403}, &explain.Refusal{Status: 503}
	ofToken := streams.Admitted{Method: http.MethodGet, Target: "/events?x", Token: new(token.Token)}
	ofSession := streams.Admitted{Info: streams.Info{Session: "s"}, Method: http.MethodGet, Target: "/events"}
	for name, test := range map[string]struct {
		handler any
		stream  streams.Admitted
		want    bool
	}{
		"a rule":                               {decides{Refused: forbidden}, ofToken, true},
		"a rule that allows it":                {decides{Decision: explain.Allow}, ofToken, false},
		"a rule that is not known yet":         {decides{Refused: notReady}, ofToken, false},
		"a rule that is tried out":             {decides{Refused: forbidden, DryRun: true}, ofToken, false},
		"a permission that can be got":         {decides{Refused: forbidden, Resource: &explain.Resource{ObtainRPT: true}}, ofToken, false},
		"a rule about a session without token": {decides{Refused: forbidden}, ofSession, false},
		"a group":                              {admits{Refused: forbidden}, ofSession, true},
		"a group that is not known yet":        {admits{Refused: notReady}, ofToken, false},
		"a group that is tried out":            {admits{Refused: forbidden, DryRun: true}, ofToken, false},
		"another handler":                      {nil, ofToken, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := refuses(t.Context(), test.handler, routemap.Line{Method: http.MethodGet}, test.stream, &explain.Caller{}); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

// A matcher of another module panics about one of three streams.
func TestAPanicEndsTheStreamThatItIsAbout(t *testing.T) {
	core, logged := observer.New(zap.DebugLevel)
	var asked []string
	j := &judge{ctx: t.Context(), logger: zap.New(core), forbids: func(_ context.Context, s streams.Admitted) bool {
		asked = append(asked, s.Path)
		if s.Path != "/fine" {
			panic("no such header: " + s.Target)
		}
		return false
	}}
	for path, want := range map[string]bool{"/odd": true, "/fine": false, "/odd/too": true} {
		s := streams.Admitted{Info: streams.Info{Path: path}, Target: path + "?access_token=secret"}
		if got := j.ends(s); got != want {
			t.Errorf("%s: ends: %t, want %t", path, got, want)
		}
	}
	if len(asked) != 3 || logged.Len() != 2 {
		t.Errorf("asked about %q, logged %d lines, want 3 and 2", asked, logged.Len())
	}
	stacks := 0
	for _, line := range logged.All() {
		for name, value := range line.ContextMap() {
			if text, ok := value.(string); ok && strings.Contains(text, "secret") {
				t.Errorf("%s has the query: %s", name, text)
			}
			if name == "stack" {
				stacks++
			}
		}
	}
	if stacks != 1 {
		t.Errorf("the stack was logged %d times, want once", stacks)
	}
}

// Once a configuration is not the running one, another one judges.
func TestJudgingStopsWithItsConfiguration(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	j := &judge{ctx: ctx, forbids: func(context.Context, streams.Admitted) bool { return true }}
	if !j.ends(streams.Admitted{}) {
		t.Error("a stream that is forbidden goes on")
	}
	if stop(); j.ends(streams.Admitted{}) {
		t.Error("a stream is ended by rules of yesterday")
	}
}
