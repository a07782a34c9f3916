// SPDX-License-Identifier: Apache-2.0

package caddyratelimit

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/ratelimit"
)

// headerNames are those of one period.
type headerNames struct{ limit, remaining string }

func namesOf(p ratelimit.Period) headerNames {
	name := [...]string{"Second", "Minute", "Hour", "Day", "Month", "Year"}[p]
	return headerNames{"X-Ratelimit-Limit-" + name, "X-Ratelimit-Remaining-" + name}
}

// tell writes the headers: Kong's, for each period and for the one that is
// nearest to its end, and those of the standard in the making
// (draft-ietf-httpapi-ratelimit-headers).
func (h *RateLimit) tell(header http.Header, usages []ratelimit.Usage) {
	tightest := 0
	var policy, state []byte
	for i, u := range usages {
		if u.Remaining < usages[tightest].Remaining {
			tightest = i
		}
		header[h.names[i].limit] = []string{strconv.FormatInt(u.Count, 10)}
		header[h.names[i].remaining] = []string{strconv.FormatInt(u.Remaining, 10)}
		if i > 0 {
			policy, state = append(policy, ", "...), append(state, ", "...)
		}
		policy = appendItem(policy, u, "q", u.Count, "w", int64(u.Period.Seconds()))
		state = appendItem(state, u, "r", u.Remaining, "t", seconds(u.Reset))
	}
	u := usages[tightest]
	header["Ratelimit-Limit"] = []string{strconv.FormatInt(u.Count, 10)}
	header["Ratelimit-Remaining"] = []string{strconv.FormatInt(u.Remaining, 10)}
	header["Ratelimit-Reset"] = []string{strconv.FormatInt(seconds(u.Reset), 10)}
	header["Ratelimit-Policy"] = []string{string(policy)}
	header["Ratelimit"] = []string{string(state)}
}

// appendItem writes an item of a structured field: "minute";q=100;w=60.
func appendItem(b []byte, u ratelimit.Usage, first string, one int64, second string, two int64) []byte {
	b = strconv.AppendQuote(b, u.Period.String())
	b = append(append(append(b, ';'), first...), '=')
	b = strconv.AppendInt(b, one, 10)
	b = append(append(append(b, ';'), second...), '=')
	return strconv.AppendInt(b, two, 10)
}

// seconds rounds up: a client that waits as long as it is told has waited
// long enough.
func seconds(d time.Duration) int64 {
	return int64((max(d, 0) + time.Second - 1) / time.Second)
}

// refuse answers a request that exceeds a limit.
func (h *RateLimit) refuse(w http.ResponseWriter, r *http.Request, usages []ratelimit.Usage) error {
	status, message := h.answer()
	body, err := json.Marshal(struct {
		Message   string `json:"message"`
		Error     string `json:"error"`
		RequestID string `json:"request_id,omitempty"`
	}{message, identity.ReasonRateLimited, identity.RequestID(r)})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !h.HideClientHeaders {
		w.Header().Set("Retry-After", strconv.FormatInt(max(seconds(reset(usages)), 1), 10))
	}
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}

// answer is the status and the text for a request that exceeds a limit.
func (h *RateLimit) answer() (status int, message string) {
	status, message = h.ErrorCode, h.ErrorMessage
	if status == 0 {
		status = http.StatusTooManyRequests
	}
	if message == "" {
		message = "API rate limit exceeded"
	}
	return status, message
}

// remember adds a request that exceeds a limit to the register of decisions.
func (h *RateLimit) remember(r *http.Request) {
	status, message := h.answer()
	identity.Remember(r, identity.Of(r), h.self, &identity.Refusal{
		Status: status, Error: identity.ReasonRateLimited, Description: message, Reason: identity.ReasonRateLimited,
	}, h.DryRun)
}

// refusals is the metric of all handlers.
func refusals(ctx caddy.Context) (*prometheus.CounterVec, error) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gluu_rate_limited_requests_total",
		Help: "Requests that exceeded a limit of gluu_rate_limit, by zone.",
	}, []string{"zone"})
	err := ctx.GetMetricsRegistry().Register(vec)
	if taken, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return taken.ExistingCollector.(*prometheus.CounterVec), nil
	}
	return vec, err
}
