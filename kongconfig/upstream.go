// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// upstream is a set of targets among which requests are spread.
type upstream struct {
	entity
	policy     map[string]any // nil: by weight
	hostHeader string
	clientCert string
	targets    []target
	active     map[string]any
	passive    map[string]any
}

type target struct {
	host   string
	port   int
	weight int
}

func (f *file) readUpstream(o *object, _ any, _ int) {
	u := &upstream{entity: entity{o: o, id: o.str("id"), name: o.str("name")}}
	if u.name == "" {
		o.errorf("name", "is required: it is what a service has as its host")
	}
	u.hostHeader = o.str("host_header")
	if strings.ContainsAny(u.hostHeader, " /@?#") {
		o.errorf("host_header", "%q is not a host: write for example api.internal", u.hostHeader)
	}
	u.clientCert = reference(o, "client_certificate")
	u.readPolicy()
	o.ignore("slots", "use_srv_name")
	if checks := o.object("healthchecks"); checks != nil {
		u.readActive(checks.object("active"))
		u.readPassive(checks.object("passive"))
		if checks.number("threshold", 0, 0) > 0 {
			checks.errorf("threshold", "a threshold of healthy targets is not kept: remove it, and unhealthy targets alone are left out")
		}
		checks.done()
	}
	f.register(o, "upstreams", u, u.id, u.name)
	f.upstreams = append(f.upstreams, u)
	f.nested(o, u, "targets")
}

// readPolicy reads how a target is chosen.
func (u *upstream) readPolicy() {
	o := u.o
	hashOn := o.oneOf("hash_on", "none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture")
	fallback := o.oneOf("hash_fallback", "none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture")
	o.ignore("hash_fallback_header", "hash_fallback_query_arg", "hash_fallback_uri_capture", "hash_on_cookie_path", "hash_on_uri_capture", "sticky_sessions_cookie", "sticky_sessions_cookie_path")
	algorithm := o.oneOf("algorithm", "", "round-robin", "consistent-hashing", "least-connections", "latency", "sticky-sessions")
	if algorithm == "" && hashOn != "none" {
		algorithm = "consistent-hashing" // as Kong 1 had it
	}
	header, cookie, argument := o.str("hash_on_header"), o.str("hash_on_cookie"), o.str("hash_on_query_arg")
	switch algorithm {
	case "", "round-robin":
		return
	case "least-connections":
		u.policy = map[string]any{"policy": "least_conn"}
		return
	case "latency", "sticky-sessions":
		o.errorf("algorithm", "%s is not kept: write least-connections or round-robin", algorithm)
		return
	}
	switch hashOn {
	case "ip":
		u.policy = map[string]any{"policy": "client_ip_hash"}
	case "header":
		u.policy = map[string]any{"policy": "header", "field": header}
		o.check("hash_on_header", checkHashed(header, "header"))
	case "cookie":
		u.policy = map[string]any{"policy": "cookie", "name": cookie}
		o.check("hash_on_cookie", checkHashed(cookie, "cookie"))
	case "path":
		u.policy = map[string]any{"policy": "uri_hash"}
	case "query_arg":
		u.policy = map[string]any{"policy": "query", "key": argument}
		if argument == "" {
			o.errorf("hash_on_query_arg", "is required with hash_on: name the argument of the query")
		}
	case "consumer", "uri_capture":
		o.errorf("hash_on", "a hash of %s is not kept: write ip, header, cookie, path or query_arg", hashOn)
		return
	default:
		return
	}
	if fallback != "none" && fallback != "ip" {
		o.warnf(aboutTheRest, "hash_fallback", "without a value, targets are chosen at random")
	} else if fallback == "ip" && (hashOn == "header" || hashOn == "cookie" || hashOn == "query_arg") {
		u.policy["fallback"] = map[string]any{"policy": "client_ip_hash"}
	}
}

func (u *upstream) readActive(o *object) {
	if o == nil {
		return
	}
	kind := o.oneOf("type", "http", "https", "tcp", "grpc", "grpcs")
	path := o.str("http_path")
	timeout := o.decimal("timeout", 1)
	o.ignore("concurrency", "https_sni", "https_verify_certificate")
	headers := map[string][]string{}
	if h := o.object("headers"); h != nil {
		for _, name := range h.names {
			headers[name] = h.strs(name)
		}
	}
	interval, passes, fails := 0.0, 1, 1
	var statuses []int
	if healthy := o.object("healthy"); healthy != nil {
		interval = healthy.decimal("interval", 0)
		passes = max(healthy.number("successes", 0, 0), 1)
		statuses = numbers(healthy, "http_statuses")
		healthy.done()
	}
	if unhealthy := o.object("unhealthy"); unhealthy != nil {
		if other := unhealthy.decimal("interval", 0); interval == 0 || other > 0 && other < interval {
			interval = other
		}
		fails = smallest(unhealthy.number("http_failures", 0, 0), unhealthy.number("tcp_failures", 0, 0), unhealthy.number("timeouts", 0, 0))
		unhealthy.ignore("http_statuses")
		unhealthy.done()
	}
	o.done()
	if interval == 0 {
		return // they do not run
	}
	if kind == "tcp" || kind == "grpc" || kind == "grpcs" {
		o.errorf("type", "health checks by %s are not kept: write http or https, and an http_path that answers 200", kind)
	}
	if path == "" {
		path = "/"
	}
	u.active = map[string]any{"uri": path, "interval": seconds(interval), "timeout": seconds(timeout), "passes": passes, "fails": max(fails, 1)}
	if len(headers) > 0 {
		u.active["headers"] = headers
	}
	if class := classOf(statuses); class > 0 {
		u.active["expect_status"] = class
	} else if len(statuses) > 0 && !slices.Equal(statuses, []int{200, 302}) {
		o.warnf(aboutTheRest, "healthy.http_statuses", "a target is healthy with any status from 200 to 399")
	}
}

func (u *upstream) readPassive(o *object) {
	if o == nil {
		return
	}
	o.ignore("type", "healthy")
	unhealthy := o.object("unhealthy")
	o.done()
	if unhealthy == nil {
		return
	}
	http := unhealthy.number("http_failures", 0, 0)
	fails := smallest(http, unhealthy.number("tcp_failures", 0, 0), unhealthy.number("timeouts", 0, 0))
	statuses := numbers(unhealthy, "http_statuses")
	unhealthy.done()
	if fails == 0 {
		return // they are off
	}
	u.passive = map[string]any{"fail_duration": "30s", "max_fails": fails}
	if http > 0 && len(statuses) > 0 {
		u.passive["unhealthy_status"] = statuses
	}
	o.warnf(aboutTheRest, "unhealthy", "a target that fails is used again after 30s; in Kong it waits for an active check or an operator")
}

// numbers reads a list of numbers.
func numbers(o *object, field string) (list []int) {
	for _, text := range o.strs(field) {
		n, err := strconv.Atoi(text)
		if err != nil {
			o.errorf(field, "%q is not a number", text)
		}
		list = append(list, n)
	}
	return list
}

// smallest returns the smallest number that is not zero.
func smallest(numbers ...int) (least int) {
	for _, n := range numbers {
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// classOf returns the first digit of statuses that are all of one class, the
// status itself if there is one only, and 0 otherwise.
func classOf(statuses []int) int {
	if len(statuses) == 1 {
		return statuses[0]
	}
	for _, s := range statuses {
		if s/100 != statuses[0]/100 {
			return 0
		}
	}
	if len(statuses) == 0 {
		return 0
	}
	return statuses[0] / 100
}

func seconds(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) + "s" }

func (f *file) readTarget(o *object, parent any, _ int) {
	u, _ := parent.(*upstream)
	ref := reference(o, "upstream")
	o.ignore("id", "failover")
	t := target{weight: o.number("weight", 0, 100), port: 8000}
	text := o.secret("target")
	if text == "" {
		o.errorf("target", "is required: write a host with a port")
		return
	}
	t.host = text
	if host, port, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			o.errorf("target", "%q has no valid port", text)
		}
		t.host, t.port = host, n
	}
	if u == nil {
		u = lookup[*upstream](f, o, "upstream", "upstreams", ref)
	}
	if u != nil {
		u.targets = append(u.targets, t)
	}
}

// connectTargets checks what depends on all targets.
func (f *file) connectTargets(u *upstream) {
	if len(u.live()) == 0 {
		u.o.warnf(aboutRouting, "targets", "has no target with a weight: its services answer 503, as in Kong")
	}
}

// live returns the targets that get requests.
func (u *upstream) live() []target {
	return slices.DeleteFunc(slices.Clone(u.targets), func(t target) bool { return t.weight == 0 })
}

func (u *upstream) usesDefaultPorts(secure bool) bool {
	port := 80
	if secure {
		port = 443
	}
	return !slices.ContainsFunc(u.live(), func(t target) bool { return t.port != port })
}

// addTo adds targets, the policy and health checks to a reverse proxy.
func (u *upstream) addTo(handler, balancing map[string]any) {
	var list []any
	var weights []int
	equal := true
	for _, t := range u.live() {
		list = append(list, map[string]any{"dial": joinHostPort(t.host, t.port)})
		weights = append(weights, t.weight)
		equal = equal && t.weight == weights[0]
	}
	handler["upstreams"] = list
	switch {
	case u.policy != nil:
		balancing["selection_policy"] = u.policy
	case equal:
		balancing["selection_policy"] = map[string]any{"policy": "round_robin"}
	default:
		balancing["selection_policy"] = map[string]any{"policy": "weighted_round_robin", "weights": weights}
	}
	checks := map[string]any{}
	if u.active != nil {
		checks["active"] = u.active
	}
	if u.passive != nil {
		checks["passive"] = u.passive
	}
	if len(checks) > 0 {
		handler["health_checks"] = checks
	}
}
