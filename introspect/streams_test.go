// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"net/http"
	"testing"

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
