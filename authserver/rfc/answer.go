// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"encoding/json"
	"net/http"
)

// answerWriter adds the headers that go with a status.
type answerWriter struct {
	http.ResponseWriter
	issuer    string
	challenge bool // whether 401 asks for client_secret_basic
	status    int
}

// WriteHeader sends the status.
func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	switch status {
	case http.StatusUnauthorized:
		if w.challenge { // RFC 6749 section 5.2
			w.Header().Set("WWW-Authenticate", `Basic realm="`+w.issuer+`", charset="UTF-8"`)
		}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "5")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// noStore keeps an answer out of every cache (RFC 6749 section 5.1).
func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}

// json answers with a value.
func (c *call) json(status int, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	c.raw(status, text)
}

// raw answers with JSON that is ready.
func (c *call) raw(status int, text []byte) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("X-Content-Type-Options", "nosniff")
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(text)
	}
}
