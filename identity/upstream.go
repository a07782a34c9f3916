// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/introspect"
)

// upstream makes the headers that tell an upstream who is calling. What they
// say depends on the token, the consumer and the handler, not on the request:
// they are made once and kept in the token's slot of this handler.
type upstream struct {
	standard   bool
	expiration string          // the name of the header with the token's end
	custom     *headers.Set    // what the configuration adds
	named      map[string]bool // folded names that custom sets, keys of objects aside
	spelled    map[string]string
	phantom    bool
	algorithm  string
	signer     *headers.Signer
	metrics    *Metrics
	logger     *zap.Logger

	reported sync.Map // standard headers that could not be sent, for one log line each
}

// rendering is what the upstream is told about one token and consumer.
type rendering struct {
	consumer      *consumer.Consumer
	lines         []headers.Line
	renewAt       time.Time // when a signature has to be made anew; zero: never
	authenticated Count
}

// apply sets the headers. The values of one request are a single block of
// memory, and never shared with another request: Caddy's header operations
// edit values in place.
func (r *rendering) apply(h http.Header) {
	values := make([]string, len(r.lines))
	for i, line := range r.lines {
		values[i] = line.Value
		h[line.Name] = values[i : i+1 : i+1]
	}
}

// isFor reports whether the rendering is good for a request at this time.
func (r *rendering) isFor(c *consumer.Consumer) bool {
	return r != nil && r.consumer == c && (r.renewAt.IsZero() || time.Now().Before(r.renewAt))
}

// standardNames are the folded names of the standard set. Keys of an object
// make up none of them, whether or not they are set: that a claim is called
// consumer-id makes its value no consumer.
var standardNames = func() map[string]bool {
	names := make(map[string]bool)
	for _, name := range headers.StandardNames() {
		names[headers.Fold(name)] = true
	}
	return names
}()

func namesOf(set *headers.Set) map[string]bool {
	named := make(map[string]bool)
	for _, name := range set.Names() {
		if !strings.Contains(name, headers.Wildcard) {
			named[headers.Fold(name)] = true
		}
	}
	return named
}

// spell returns a name in the form that net/http keeps headers under. A
// rendering is kept for each token, so that all share one spelling of the
// names that the configuration knows.
func (u *upstream) spell(name string) string {
	if spelled, ok := u.spelled[name]; ok {
		return spelled
	}
	return http.CanonicalHeaderKey(name)
}

func spellings(set *headers.Set) map[string]string {
	spelled := make(map[string]string)
	for _, name := range slices.Concat(headers.StandardNames(), set.Names()) {
		spelled[name] = http.CanonicalHeaderKey(name)
	}
	return spelled
}

// render makes the headers for a verified token, or for the anonymous consumer
// if there is none. An error means that the upstream cannot be told what the
// configuration promises.
func (u *upstream) render(provider string, token *introspect.Token, c *consumer.Consumer) (*rendering, error) {
	r := &rendering{consumer: c}
	if u.standard {
		u.renderStandard(r, token, c)
	}
	if err := u.renderCustom(r, token, c); err != nil {
		return nil, err
	}
	if token == nil {
		return r, nil
	}
	if u.phantom && !token.JWT {
		if err := u.renderPhantom(r, token); err != nil {
			return nil, err
		}
	}
	r.authenticated = u.metrics.Authenticated(provider, c)
	r.lines = slices.Clone(r.lines) // without the room that append has left
	return r, nil
}

// renderStandard adds the standard set. A header that the configuration sets
// otherwise is left to it.
func (u *upstream) renderStandard(r *rendering, token *introspect.Token, c *consumer.Consumer) {
	set := func(name, value string) {
		switch {
		case value == "" || u.named[headers.Fold(name)]:
		case headers.Sendable(value):
			r.lines = append(r.lines, headers.Line{Name: u.spell(name), Value: value})
		default:
			if _, before := u.reported.LoadOrStore(name, true); !before {
				u.logger.Warn("a header was not sent to the upstream: its value is too long or contains control characters", zap.String("header", name))
			}
		}
	}
	if c != nil {
		set("X-Consumer-ID", c.ID)
		set("X-Consumer-Custom-ID", c.CustomID)
		set("X-Consumer-Username", c.Username)
	}
	if token == nil {
		set("X-Anonymous-Consumer", "true")
		return
	}
	set("X-OAuth-Client-ID", token.ClientID)
	set("X-Authenticated-Scope", strings.Join(token.Scopes, " "))
	set("X-Authenticated-Userid", token.Subject)
	if !token.ExpiresAt.IsZero() {
		set(u.expiration, strconv.FormatInt(token.ExpiresAt.Unix(), 10))
	}
}

// renderCustom adds the headers of the configuration.
func (u *upstream) renderCustom(r *rendering, token *introspect.Token, c *consumer.Consumer) error {
	if u.custom.Len() == 0 {
		return nil
	}
	vars := map[string]any{"introspect_data": nil, "consumer": nil}
	if token != nil {
		claims, err := token.Claims()
		if err != nil {
			return err
		}
		vars["introspect_data"] = claims
	}
	if c != nil {
		vars["consumer"] = consumerVar(c)
	}
	var unsigned error
	lines, problems := u.custom.Render(vars, func(claims map[string]any) (string, error) {
		signed, err := u.sign(r, claims, token)
		unsigned = errors.Join(unsigned, err)
		return signed, err
	})
	for _, problem := range problems {
		u.logger.Warn("a header was not sent to the upstream", zap.String("header", problem.Header), zap.Error(problem.Err))
	}
	for _, line := range lines {
		folded := headers.Fold(line.Name)
		if standardNames[folded] && !u.named[folded] {
			continue
		}
		r.lines = append(r.lines, headers.Line{Name: u.spell(line.Name), Value: line.Value})
	}
	return unsigned
}

// renderPhantom puts a JWT with the token's claims in the token's place.
func (u *upstream) renderPhantom(r *rendering, token *introspect.Token) error {
	claims, err := token.Claims()
	if err != nil {
		return err
	}
	signed, err := u.sign(r, claims, token)
	if err != nil {
		return err
	}
	r.lines = append(r.lines, headers.Line{Name: "Authorization", Value: "Bearer " + signed})
	return nil
}

// sign signs claims that come from a token, nil for the anonymous consumer.
func (u *upstream) sign(r *rendering, claims map[string]any, token *introspect.Token) (string, error) {
	request := headers.SignRequest{Claims: claims, Algorithm: u.algorithm}
	if token != nil {
		request.NotAfter, request.OriginalIssuer = token.ExpiresAt, token.Issuer
	}
	signed, err := u.signer.Sign(request)
	if err != nil {
		return "", err
	}
	if r.renewAt.IsZero() || signed.RenewAt.Before(r.renewAt) {
		r.renewAt = signed.RenewAt
	}
	return signed.Token, nil
}

// consumerVar is a consumer as expressions see it: with the members of its
// JSON form. One that is empty is not there.
func consumerVar(c *consumer.Consumer) map[string]any {
	v := make(map[string]any)
	set := func(name, value string) {
		if value != "" {
			v[name] = value
		}
	}
	set("id", c.ID)
	set("username", c.Username)
	set("custom_id", c.CustomID)
	if len(c.Tags) > 0 {
		tags := make([]any, len(c.Tags))
		for i, tag := range c.Tags {
			tags[i] = tag
		}
		v["tags"] = tags
	}
	if c.CreatedAt != 0 {
		v["created_at"] = json.Number(strconv.FormatInt(c.CreatedAt, 10))
	}
	return v
}
