// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/decisions"
)

func init() {
	caddy.RegisterModule(decisionsAPI{})
}

// decisionsAPI shows which requests were refused lately, and why:
//
//	GET /gluu/decisions[?<filter>=<value>...][&limit=<n>]  the newest first; live as an event stream
//	GET /gluu/decisions/{request_id}                       all about one request
//
// A request for text/event-stream gets those that follow as they happen.
type decisionsAPI struct{}

// CaddyModule implements caddy.Module.
func (decisionsAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.gluu_decisions",
		New: func() caddy.Module { return new(decisionsAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (decisionsAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/gluu/decisions", Handler: caddy.AdminHandlerFunc(listDecisions)},
		{Pattern: "/gluu/decisions/{request_id}", Handler: caddy.AdminHandlerFunc(showDecision)},
	}
}

// Bounds of a list.
const (
	defaultDecisions = 100
	maxDecisions     = 1000
)

func listDecisions(w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	query := r.URL.Query()
	limit := defaultDecisions
	if text := query.Get("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxDecisions {
			return apiError(http.StatusBadRequest, fmt.Errorf("limit is a number from 1 to %d, not %q", maxDecisions, text))
		}
	}
	query.Del("limit")
	filter, err := DecisionFilter(query)
	if err != nil {
		return apiError(http.StatusBadRequest, err)
	}
	if wantsEvents(r) {
		return tailDecisions(w, r, filter)
	}
	found := decisions.Recent.List(filter, limit)
	answer := map[string]any{"decisions": found}
	if len(found) == limit {
		answer["before"] = found[limit-1].Number // for the next page
	}
	return writeJSON(w, http.StatusOK, answer)
}

// decisionFilters are what a refusal can be selected by.
var decisionFilters = map[string]func(f *decisions.Filter, value string) error{
	"request_id": func(f *decisions.Filter, v string) error { f.RequestID = v; return nil },
	"method":     func(f *decisions.Filter, v string) error { f.Method = v; return nil },
	"host":       func(f *decisions.Filter, v string) error { f.Host = v; return nil },
	"path":       func(f *decisions.Filter, v string) error { f.Path = v; return nil },
	"reason":     func(f *decisions.Filter, v string) error { f.Reason = v; return nil },
	"rule":       func(f *decisions.Filter, v string) error { f.Rule = v; return nil },
	"handler":    func(f *decisions.Filter, v string) error { f.Handler = v; return nil },
	"client_id":  func(f *decisions.Filter, v string) error { f.ClientID = v; return nil },
	"consumer":   func(f *decisions.Filter, v string) error { f.Consumer = v; return nil },
	"provider":   func(f *decisions.Filter, v string) error { f.Provider = v; return nil },
	"operation":  func(f *decisions.Filter, v string) error { f.Operation = v; return nil },
	"client_ip":  func(f *decisions.Filter, v string) error { f.ClientIP = v; return nil },
	"text":       func(f *decisions.Filter, v string) error { f.Text = v; return nil },
	"status": func(f *decisions.Filter, v string) (err error) {
		if f.Status, err = strconv.Atoi(v); err != nil || f.Status < 100 || f.Status > 999 {
			return fmt.Errorf("status is a number such as 403, not %q", v)
		}
		return nil
	},
	"dry_run": func(f *decisions.Filter, v string) error {
		dryRun, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("dry_run is true or false, not %q", v)
		}
		f.DryRun = &dryRun
		return nil
	},
	"since": func(f *decisions.Filter, v string) (err error) {
		if ago, err := time.ParseDuration(v); err == nil && ago > 0 {
			f.Since = time.Now().Add(-ago)
			return nil
		}
		if f.Since, err = time.Parse(time.RFC3339, v); err != nil {
			return fmt.Errorf("since is a duration such as 15m, or a time such as 2026-01-31T12:00:00Z, not %q", v)
		}
		return nil
	},
	"before": func(f *decisions.Filter, v string) (err error) {
		if f.Before, err = strconv.ParseUint(v, 10, 64); err != nil || f.Before == 0 {
			return fmt.Errorf("before is the number of a decision, not %q", v)
		}
		return nil
	},
}

// DecisionFilter reads a filter from the members of a query. It refuses those that it
// does not know: a filter that is misspelt would show everything.
func DecisionFilter(query url.Values) (f decisions.Filter, err error) {
	for name, values := range query {
		set := decisionFilters[name]
		if set == nil {
			return f, fmt.Errorf("decisions cannot be selected by %q: choose from %s", name, strings.Join(slices.Sorted(maps.Keys(decisionFilters)), ", "))
		}
		if len(values) != 1 || values[0] == "" {
			return f, fmt.Errorf("%s needs one value", name)
		}
		if err := set(&f, values[0]); err != nil {
			return f, err
		}
	}
	return f, nil
}

func showDecision(w http.ResponseWriter, r *http.Request) error {
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	found := decisions.Recent.Find(r.PathValue("request_id"))
	if len(found) == 0 {
		return apiError(http.StatusNotFound, fmt.Errorf("no refusal of a request with the id %q is remembered: this gateway keeps the last %d, and only its own", r.PathValue("request_id"), decisions.Size))
	}
	why := make([]decisions.Why, len(found))
	for i, d := range found {
		why[i] = d.Explain()
	}
	return writeJSON(w, http.StatusOK, map[string]any{"request_id": found[0].RequestID, "decisions": why})
}

// wantsEvents reports whether a client asks for an event stream.
func wantsEvents(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// maxTails bounds the event streams of this endpoint.
const maxTails = 20

var tailSlots = make(chan struct{}, maxTails)

// Times of an event stream: a comment shows that it is alive, and a client that takes
// nothing for so long is given up.
const (
	tailBeat    = 15 * time.Second
	tailTimeout = 30 * time.Second
)

// tailDecisions sends refusals as they happen: each is an event `decision`, and an
// event `missed` says how many were not sent because the client is too slow.
func tailDecisions(w http.ResponseWriter, r *http.Request, filter decisions.Filter) error {
	select {
	case tailSlots <- struct{}{}:
		defer func() { <-tailSlots }()
	default:
		return apiError(http.StatusServiceUnavailable, fmt.Errorf("%d clients follow the decisions already", maxTails))
	}
	tail := decisions.Recent.Tail(filter)
	defer tail.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	stream := eventStream{w, http.NewResponseController(w)}
	if err := stream.write(": the refusals from now on\n\n"); err != nil {
		return nil // the client has gone
	}
	for {
		found, missed, err := tail.NextWithin(r.Context(), tailBeat)
		if err != nil || stream.send(found, missed) != nil {
			return nil
		}
	}
}

// eventStream writes server-sent events.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s eventStream) send(found []*decisions.Decision, missed uint64) error {
	var b strings.Builder
	if missed > 0 {
		fmt.Fprintf(&b, "event: missed\ndata: %d\n\n", missed)
	}
	for _, d := range found {
		text, err := json.Marshal(d)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "event: decision\nid: %d\ndata: %s\n\n", d.Number, text)
	}
	if b.Len() == 0 {
		b.WriteString(": nothing new\n\n")
	}
	return s.write(b.String())
}

func (s eventStream) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(tailTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

// Interface guards
var _ caddy.AdminRouter = (*decisionsAPI)(nil)
