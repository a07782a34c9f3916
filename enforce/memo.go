// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// Memo is what a handler keeps about a token from one request to the next. It
// says nothing about requests: that one was granted is remembered nowhere.
// Tokens that are alike in all that it says share one.
type Memo struct {
	// Scopes are the token's scopes in the form that the policy decides on.
	Scopes *scopeexpr.Scopes

	rules    *ruleset
	consumer *consumer.Consumer
	granted  identity.Count
	event    func() authenticationEvent // nil if no rule asks for it
}

func (e *Enforcer) memo(rules *ruleset, id *identity.Identity) *Memo {
	token := id.Token
	kept, ok := token.Value(e.stateKey).(*Memo)
	if ok && kept.rules == rules && kept.consumer == id.Consumer {
		return kept
	}
	create := func() *Memo {
		return &Memo{
			Scopes: scopeexpr.NewScopes(rules.policy, token.Scopes),
			rules:  rules, consumer: id.Consumer, granted: e.answerer.Metrics.Granted(id.Consumer),
		}
	}
	var memo *Memo
	if set := token.ScopeSet(); set != nil {
		memo = rules.memos.of(memoKey{set, id.Consumer}, create)
	} else {
		memo = create()
	}
	if rules.stepsUp {
		own := *memo
		own.event = sync.OnceValue(func() authenticationEvent { return eventOf(token) })
		memo = &own
	}
	token.SetValue(e.stateKey, memo)
	return memo
}

// memos finds the one memo of all tokens with the same scopes and consumer.
type memos struct {
	mu    sync.Mutex
	known map[memoKey]*Memo
}

type memoKey struct {
	scopes   *token.ScopeSet
	consumer *consumer.Consumer
}

// maxMemos is when all are forgotten. Tokens keep the ones that they have.
const maxMemos = 4096

func (m *memos) of(key memoKey, create func() *Memo) *Memo {
	m.mu.Lock()
	defer m.mu.Unlock()
	if memo, ok := m.known[key]; ok {
		return memo
	}
	if m.known == nil || len(m.known) >= maxMemos {
		m.known = make(map[memoKey]*Memo)
	}
	memo := create()
	m.known[key] = memo
	return memo
}

// authenticationEvent is how and when the user behind a token authenticated
// (RFC 9470, section 6).
type authenticationEvent struct {
	acr string
	at  int64 // in seconds since 1970, 0 if the token does not say
}

func eventOf(token *token.Token) (event authenticationEvent) {
	claims, err := token.Claims()
	if err != nil {
		return event
	}
	event.acr, _ = claims["acr"].(string)
	event.at = secondsOf(claims["auth_time"])
	return event
}

// secondsOf returns the seconds since 1970 that a time in a token is, 0 if it is none.
// AD FS writes the one of its access tokens as text (RFC 3339).
func secondsOf(value any) int64 {
	var seconds float64
	switch value := value.(type) {
	case json.Number:
		seconds, _ = value.Float64()
	case string:
		if at, err := time.Parse(time.RFC3339, value); err == nil {
			seconds = float64(at.Unix())
		}
	}
	if seconds <= 0 || seconds >= 1<<40 {
		return 0
	}
	return int64(seconds)
}

// judgedAt is when the age of the authentication counts: now, but for a stream when it was
// admitted. Time alone does not end a stream: what is judged is whether the rules of today
// would have admitted it then. Someone who has authenticated since is as recent as can be.
func (a authenticationEvent) judgedAt(admitted, now time.Time) time.Time {
	event := time.Unix(a.at, 0)
	switch {
	case admitted.IsZero() || event.After(now):
		return now
	case event.After(admitted):
		return event
	}
	return admitted
}

func asksForAuthentication(rule *scopeexpr.Rule) bool {
	condition := rule.Condition()
	return len(condition.ACR) > 0 || condition.MaxAge > 0
}

// authentication refuses a token behind which there is not the authentication
// that a rule asks for. The challenge names all that the rule asks for, not
// only what is missing: otherwise the next one would lack the other.
func (m *Memo) authentication(rule *scopeexpr.Rule, now time.Time) *identity.Refusal {
	if !asksForAuthentication(rule) {
		return nil
	}
	condition, event := rule.Condition(), m.event()
	strong := len(condition.ACR) == 0 || slices.Contains(condition.ACR, event.acr)
	age := now.Unix() - event.at // what is later than the leeway allows has not happened
	recent := condition.MaxAge == 0 ||
		(event.at != 0 && age >= -int64(jwtcheck.Leeway/time.Second) && age <= condition.MaxAge)
	if strong && recent {
		return nil
	}
	refusal := identity.StepUp(condition.ACR, condition.MaxAge)
	return &refusal
}
