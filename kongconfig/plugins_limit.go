// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"strconv"
	"strings"
)

var limitPeriods = []string{"second", "minute", "hour", "day", "month", "year"}

// readRateLimiting reads limits. Each instance of the plugin has counters of
// its own, which the routes that it runs on share.
func readRateLimiting(f *file, p *plugin) builder {
	c := p.config
	h := map[string]any{"handler": "gluu_rate_limit"}
	last := 0
	for _, period := range limitPeriods {
		if !c.has(period) {
			c.ignore(period)
			continue
		}
		n := c.number(period, 1, 1)
		if n < last {
			c.errorf(period, "%d is less than the limit of a shorter period, %d: raise it, or remove one", n, last)
		}
		h[period], last = n, n
	}
	if last == 0 {
		c.errorf("", "has no limit: write for example minute: 100")
	}
	by := c.oneOf("limit_by", "consumer", "credential", "ip", "service", "header", "path", "consumer-group")
	header, path := c.str("header_name"), c.str("path")
	switch by {
	case "consumer-group":
		c.errorf("limit_by", "consumer groups are not kept: write consumer")
	case "header":
		h["header_name"] = header
		if header == "" {
			c.errorf("header_name", "is required with limit_by: header")
		}
	case "path":
		h["path"] = path
		if !strings.HasPrefix(path, "/") {
			c.errorf("path", "%q does not begin with a slash", path)
		}
	}
	h["limit_by"] = by
	f.readLimitAnswer(c, h)
	f.readLimitPolicy(c, h)
	zone := p.scope()
	return func(r *route) steps {
		own := make(map[string]any, len(h)+1)
		maps.Copy(own, h)
		own["zone"] = zone
		if by == "service" {
			own["limit_by"] = "all"
			if r.service != nil {
				own["zone"] = zone + " of service " + r.service.id
			}
		}
		return steps{before: []any{own}}
	}
}

// scope names an instance of a plugin, the same on all gateways.
func (p *plugin) scope() string {
	scope := "kong " + p.name
	if p.route != nil {
		scope += " route " + p.route.id
	}
	if p.service != nil {
		scope += " service " + p.service.id
	}
	if p.consumer != nil {
		scope += " consumer " + p.consumer.id
	}
	return scope
}

func (f *file) readLimitAnswer(c *object, h map[string]any) {
	if c.boolean("hide_client_headers", false) {
		h["hide_client_headers"] = true
	}
	if code := c.number("error_code", 0, 429); code != 429 {
		if code < 400 || code > 599 {
			c.errorf("error_code", "%d is not the status of an error: write 429", code)
		}
		h["error_code"] = code
	}
	if message := c.str("error_message"); message != "" {
		h["error_message"] = message
	}
	c.ignore("fault_tolerant", "sync_rate")
}

// readLimitPolicy reads who counts.
func (f *file) readLimitPolicy(c *object, h map[string]any) {
	policy := c.oneOf("policy", "local", "cluster", "redis")
	address := redisAddress(c)
	shared, isRedis := strings.CutPrefix(f.settings.store, "redis ")
	switch {
	case policy == "redis" && address == "":
		c.errorf("redis", "is required with policy: redis: write redis, and host in it")
	case policy == "redis":
		h["redis"] = address
		if c.has("fault_tolerant") && !c.boolean("fault_tolerant", true) {
			c.warnf(aboutProtection, "fault_tolerant", "while Redis is unavailable the gateway counts alone, and does not answer 500")
		}
	case policy == "cluster" && isRedis:
		h["redis"] = strings.TrimSpace(shared)
	case policy == "cluster":
		c.warnf(aboutProtection, "policy", "there is no database that counts for the cluster, so each gateway counts alone: with several gateways write policy: redis, or set GLUU_KONG_STORE to redis <url>")
	}
}

// redisAddress reads where Redis is, in the fields of Kong 3.8 and before.
func redisAddress(c *object) string {
	inner := c.object("redis")
	get := func(name string) string {
		if inner != nil && inner.has(name) {
			return inner.secret(name)
		}
		return c.secret("redis_" + name)
	}
	host, port, user, password, database, ssl := get("host"), get("port"), get("username"), get("password"), get("database"), get("ssl")
	for _, name := range []string{"timeout", "ssl_verify", "server_name"} {
		c.ignore("redis_" + name)
		if inner != nil {
			inner.ignore(name)
		}
	}
	if inner != nil {
		inner.ignore("host", "port", "username", "password", "database", "ssl")
		inner.done()
	}
	c.ignore("redis_host", "redis_port", "redis_username", "redis_password", "redis_database", "redis_ssl")
	if host == "" {
		return ""
	}
	if !isPlaceholder(host) && strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || strings.ContainsRune("/@?#", r) }) {
		c.errorf("redis", "the host %q is not a name or an address: write for example redis.example.com", host)
	}
	if text := orText(port, "6379"); !isPlaceholder(text) {
		c.check("redis", checkPort(text))
	}
	scheme := "redis"
	if ssl == "true" {
		scheme = "rediss"
	}
	if n, err := strconv.Atoi(orText(database, "0")); err != nil || n < 0 {
		c.errorf("redis", "the database %q is not a number", database)
	}
	address := fmt.Sprintf("%s://%s/%s", scheme, net.JoinHostPort(strings.Trim(host, "[]"), orText(port, "6379")), orText(database, "0"))
	if password != "" {
		userinfo := escapeSecret(user) + ":" + escapeSecret(password) + "@"
		address = strings.Replace(address, "://", "://"+userinfo, 1)
	}
	return address
}

// isPlaceholder reports whether a text is only known when the gateway starts.
func isPlaceholder(text string) bool { return strings.HasPrefix(text, "{env.") }

// escapeSecret escapes what is special in a URL; a placeholder stays.
func escapeSecret(text string) string {
	if isPlaceholder(text) {
		return text
	}
	return strings.ReplaceAll(url.QueryEscape(strings.ReplaceAll(text, `\{`, "{")), "+", "%20")
}

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
