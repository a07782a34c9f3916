// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(explanations{})
}

// explanations says what the gateway would do with a token and a request:
//
//	POST /gluu/explain  {"token": "...", "request": "GET /todos", "host": "...", "handler": 1, "why": true}
//
// The token is in the body, because addresses are logged.
type explanations struct{}

// CaddyModule implements caddy.Module.
func (explanations) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_explain",
		New: func() caddy.Module { return new(explanations) },
	}
}

// Routes implements caddy.AdminRouter.
func (explanations) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/gluu/explain", Handler: handler(serveExplain)}}
}

// questionRoom bounds the body beside the token, with room for the longest path.
const questionRoom = 32 << 10

func serveExplain(app *introspect.App, w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodPost); err != nil {
		return err
	}
	q, err := questionIn(r.Body, int64(app.MaxToken()+questionRoom))
	if err != nil {
		return apiError(http.StatusBadRequest, err)
	}
	answer, err := app.Explain(r.Context(), q)
	if err != nil {
		return apiError(http.StatusBadRequest, err)
	}
	return writeJSON(w, http.StatusOK, answer)
}

func questionIn(body io.Reader, most int64) (q explain.Question, err error) {
	decoder := json.NewDecoder(io.LimitReader(body, most))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&q); err != nil {
		// The decoder's error may quote the body, which has a token in it.
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok && len(name) < 40 {
			return q, fmt.Errorf("unknown member %s: the body has token, request, host, handler and why", name)
		}
		return q, errors.New(`the body is not a JSON object such as {"token": "...", "request": "GET /todos"}`)
	}
	return q, nil
}

// Interface guards
var _ caddy.AdminRouter = (*explanations)(nil)
