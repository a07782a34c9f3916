// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// RequestID returns the id by which a refused client and the operator can speak of
// the same request: Caddy's `{http.request.uuid}`, which the access log also has.
// It is "" outside of a Caddy server.
func RequestID(r *http.Request) string {
	if _, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); !ok {
		return ""
	}
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return ""
	}
	id, _ := repl.GetString("http.request.uuid")
	return id
}

// compared returns the log fields with what was required and what was there.
func (r *Refusal) compared() []zap.Field {
	if r.Required == "" {
		return nil
	}
	fields := []zap.Field{zap.String("required", cut(r.Required, 1024))}
	if r.Reason != ReasonNoToken {
		fields = append(fields, zap.Strings("grants", bounded(r.Grants)))
	}
	return fields
}

// bounded keeps a log line readable whatever the token contains.
func bounded(grants []string) []string {
	const most = 50
	kept := make([]string, 0, min(len(grants), most+1))
	for i, grant := range grants {
		if i == most {
			return append(kept, "...")
		}
		kept = append(kept, shortened(grant))
	}
	return kept
}
