// SPDX-License-Identifier: Apache-2.0

package caddyratelimit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/ratelimit"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/internal/store/redis"
)

func init() {
	caddy.RegisterModule(new(RateLimit))
}

// RateLimit is a middleware that limits how many requests a caller may make in
// a second, minute, hour, day, month or year. Windows begin with the calendar,
// in UTC, as those of Kong's plugin `rate-limiting`.
//
// It runs after authentication and rules, so that a caller is a consumer or
// client, and requests that are refused do not count. Counters survive a reload.
type RateLimit struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. In a Caddyfile
	// the option is called `id`. Default: none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// Requests in a second. Default: no limit
	Second int64 `json:"second,omitempty"`
	// Requests in a minute. Default: no limit
	Minute int64 `json:"minute,omitempty"`
	// Requests in an hour. Default: no limit
	Hour int64 `json:"hour,omitempty"`
	// Requests in a day. Default: no limit
	Day int64 `json:"day,omitempty"`
	// Requests in a month. Default: no limit
	Month int64 `json:"month,omitempty"`
	// Requests in a year. Default: no limit
	Year int64 `json:"year,omitempty"`

	// What has a limit of its own: `consumer` (else the client, else the
	// address), `credential` (the client, else the address), `ip`, `header`
	// (else the address), `path` (one path; the address for others), or `all`
	// requests together. Default: `consumer`
	LimitBy string `json:"limit_by,omitempty"`

	// The header, with `limit_by header`.
	HeaderName string `json:"header_name,omitempty"`

	// The path, with `limit_by path`.
	Path string `json:"path,omitempty"`

	// Handlers with the same zone and limits share their counters. Default: the
	// hosts of the site with everything that is configured here
	Zone string `json:"zone,omitempty"`

	// The address of a Redis or Valkey that gateways share, such as
	// `redis://redis:6379/0`. Placeholders are resolved when the configuration
	// loads. Default: this gateway counts alone
	Redis string `json:"redis,omitempty"`

	// How many gateways share the limit. While Redis is unavailable each of
	// them keeps to its part. Default: 1
	Gateways int64 `json:"gateways,omitempty"`

	// Do not tell clients their limits in headers. Default: false
	HideClientHeaders bool `json:"hide_client_headers,omitempty"`

	// The status for a request that exceeds a limit. Default: 429
	ErrorCode int `json:"error_code,omitempty"`

	// The text for it. Default: `API rate limit exceeded`
	ErrorMessage string `json:"error_message,omitempty"`

	// Count and record, but refuse nothing. Default: false
	DryRun bool `json:"dry_run,omitempty"`

	limiter *ratelimit.Limiter
	poolKey string
	names   []headerNames // by limit
	logger  *zap.Logger
	self    decisions.HandlerID
	refused prometheus.Counter
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (h *RateLimit) UnmarshalJSON(text []byte) error {
	type plain RateLimit
	return directive.UnmarshalJSON("gluu_rate_limit", text, (*plain)(h))
}

// CaddyModule returns the Caddy module information.
func (*RateLimit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_rate_limit",
		New: func() caddy.Module { return new(RateLimit) },
	}
}

// Provision sets up the handler.
func (h *RateLimit) Provision(ctx caddy.Context) error {
	if err := h.check(); err != nil {
		return err
	}
	h.logger = ctx.Logger()
	h.self = identity.HandlerOf(ctx, false)
	address, err := directive.Resolve(h.Redis)
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if h.DryRun {
		h.logger.Warn("dry_run is on: requests are not refused")
	}
	counter, err := refusals(ctx)
	if err != nil {
		return err
	}
	zone := h.Zone
	if zone == "" {
		hosts, _ := siteguard.Address(ctx)
		zone = strings.Join(hosts, " ")
	}
	h.refused = counter.WithLabelValues(h.Zone)
	for _, limit := range h.limits() {
		h.names = append(h.names, namesOf(limit.Period))
	}
	return h.open(zone, address)
}

// pool keeps counters over reloads, by zone and configuration.
var pool = caddy.NewUsagePool()

// zone is what handlers share.
type zone struct {
	limiter *ratelimit.Limiter
	redis   *ratelimit.Redis
}

// Destruct implements [caddy.Destructor].
func (z *zone) Destruct() error {
	if z.redis != nil {
		z.redis.Close()
	}
	return nil
}

// open gets the counters of the zone, or begins them.
func (h *RateLimit) open(name, address string) error {
	counted := fmt.Sprintf("%q %s %s %s", name, h.LimitBy, h.HeaderName, h.Path)
	if h.Zone == "" {
		counted += fmt.Sprint(h.limits())
	}
	key := fmt.Sprintf("%s %v %q %d", counted, h.limits(), address, h.Gateways)
	shared, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		config := ratelimit.Config{Limits: h.limits(), Gateways: h.Gateways, Prefix: counted + "\x00"}
		z := new(zone)
		if address != "" {
			option, err := redis.ClientOption(address)
			if err != nil {
				return nil, fmt.Errorf("redis: %w", err)
			}
			z.redis = ratelimit.OpenRedis(option)
			config.Shared = z.redis
		}
		z.limiter = ratelimit.New(config)
		return z, nil
	})
	if err != nil {
		return err
	}
	h.poolKey, h.limiter = key, shared.(*zone).limiter
	return nil
}

// Cleanup lets go of the counters.
func (h *RateLimit) Cleanup() error {
	if h.poolKey == "" {
		return nil
	}
	_, err := pool.Delete(h.poolKey)
	return err
}

// limits returns the limits that are set, from the shortest period on.
func (h *RateLimit) limits() (list []ratelimit.Limit) {
	for i, count := range []int64{h.Second, h.Minute, h.Hour, h.Day, h.Month, h.Year} {
		if count > 0 {
			list = append(list, ratelimit.Limit{Period: ratelimit.Periods[i], Count: count})
		}
	}
	return list
}

var limitedBy = []string{"consumer", "credential", "ip", "header", "path", "all"}

// check refuses what cannot be right.
func (h *RateLimit) check() error {
	if err := h.checkValues(); err != nil {
		return err
	}
	limits := h.limits()
	if len(limits) == 0 {
		return errors.New("gluu_rate_limit has no limit: write for example 'minute 100' into its block")
	}
	for i := 1; i < len(limits); i++ {
		if limits[i].Count < limits[i-1].Count {
			return fmt.Errorf("%s %d is less than %s %d, which could never be reached: raise it, or remove one", limits[i].Period, limits[i].Count, limits[i-1].Period, limits[i-1].Count)
		}
	}
	if (h.LimitBy == "header") != (h.HeaderName != "") {
		return errors.New("limit_by header and header_name go together: write both, or neither")
	}
	if (h.LimitBy == "path") != (h.Path != "") {
		return errors.New("limit_by path and path go together: write both, or neither")
	}
	if h.Gateways > 0 && h.Redis == "" {
		return errors.New("gateways is about gateways that share a Redis: write redis too, or remove it")
	}
	return nil
}

// checkValues refuses what is wrong with an option by itself.
func (h *RateLimit) checkValues() error {
	for i, count := range []int64{h.Second, h.Minute, h.Hour, h.Day, h.Month, h.Year} {
		if count < 0 {
			return fmt.Errorf("%s cannot be negative, got %d", ratelimit.Periods[i], count)
		}
	}
	if h.LimitBy != "" && !slices.Contains(limitedBy, h.LimitBy) {
		return fmt.Errorf("limit_by: there is no %q: write %s", h.LimitBy, directive.Either(limitedBy))
	}
	if h.Path != "" && !strings.HasPrefix(h.Path, "/") {
		return fmt.Errorf("path: %q does not begin with a slash: write %q", h.Path, "/"+h.Path)
	}
	if h.Gateways < 0 {
		return fmt.Errorf("gateways is a number of 1 or more, not %d", h.Gateways)
	}
	if h.ErrorCode != 0 && (h.ErrorCode < 400 || h.ErrorCode > 599) {
		return fmt.Errorf("error_code is a status from 400 to 599, not %d", h.ErrorCode)
	}
	return nil
}

// ServeHTTP counts the request and passes it on, or answers it.
func (h *RateLimit) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	var space [6]ratelimit.Usage
	usages, allowed := h.limiter.Take(r.Context(), h.key(r), space[:0])
	if !h.HideClientHeaders {
		h.tell(w.Header(), usages)
	}
	if allowed {
		identity.Of(r).Passed(h.self)
		return next.ServeHTTP(w, r)
	}
	h.refused.Inc()
	if h.DryRun {
		h.remember(r)
		h.logger.Info(identity.WouldRefuse, zap.String("reason", identity.ReasonRateLimited), zap.String("path", r.URL.Path))
		return next.ServeHTTP(w, r)
	}
	h.remember(r)
	h.logger.Debug("request refused", zap.String("reason", identity.ReasonRateLimited), zap.String("path", r.URL.Path))
	return h.refuse(w, r, usages)
}

// reset is when a refused request may be tried again: when the longest window
// that is used up ends.
func reset(usages []ratelimit.Usage) (wait time.Duration) {
	for _, u := range usages {
		if u.Remaining == 0 {
			wait = max(wait, u.Reset)
		}
	}
	return wait
}

// Interface guards
var (
	_ caddy.Provisioner           = (*RateLimit)(nil)
	_ caddy.CleanerUpper          = (*RateLimit)(nil)
	_ caddyhttp.MiddlewareHandler = (*RateLimit)(nil)
)
