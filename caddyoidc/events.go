// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/events"
	"github.com/caddy-gluu/gateway/internal/session"
)

// noteLogin counts, logs and announces that a person has logged in.
func (v *visitor) noteLogin(r *http.Request, s *session.Session, stepUp bool) {
	v.metrics.login("completed")
	acr := s.Newest().ACR
	v.logger.Info("person logged in", zap.String("session", s.Tag()), zap.String("acr", acr), zap.Bool("step_up", stepUp))
	if !v.events.Enabled(events.LoggedIn) {
		return
	}
	v.events.Emit(events.LoggedIn, map[string]any{
		"provider": v.metrics.provider, "issuer": s.Issuer, "subject": s.Subject, "session": s.Tag(), "acr": acr, "step_up": stepUp,
		"client_ip": clientOf(r),
	})
}

// loggedOut is what is known about sessions that ended: of one session
// everything, of those that the OpenID Provider or an operator ends by name only
// that.
type loggedOut struct {
	kind         string
	issuer       string
	subject, sid string
	session      string // its tag
	sessions     int    // how many there were
}

// noteLogout counts, logs and announces that sessions have ended.
func (v *visitor) noteLogout(l loggedOut) {
	for range l.sessions {
		v.metrics.logout(l.kind)
	}
	v.logger.Info("sessions ended", zap.String("kind", l.kind), zap.String("session", l.session), zap.Int("sessions", l.sessions))
	if l.sessions == 0 || !v.events.Enabled(events.LoggedOut) {
		return
	}
	v.events.Emit(events.LoggedOut, map[string]any{
		"provider": v.metrics.provider, "kind": l.kind, "issuer": l.issuer, "subject": l.subject, "sid": l.sid, "session": l.session, "sessions": l.sessions,
	})
}

// endedByOperator is told what the admin API has ended.
func (v *visitor) endedByOperator(issuer, sid, subject string, sessions int) {
	v.noteLogout(loggedOut{kind: "admin", issuer: issuer, subject: subject, sid: sid, sessions: sessions})
}

// ofOne describes the end of one session that is at hand.
func ofOne(s *session.Session, kind string) loggedOut {
	return loggedOut{kind: kind, issuer: s.Issuer, subject: s.Subject, sid: s.SID, session: s.Tag(), sessions: 1}
}
