// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/opaengine"
	"github.com/caddy-gluu/gateway/internal/outbound"
	"github.com/caddy-gluu/gateway/internal/strictjson"
)

// newDecider finds or sets up what decides.
func (p *PEP) newDecider(ctx caddy.Context) (decider, error) {
	if err := cmp.Or(p.Config.checkOutside(), p.Config.checkUnused()); err != nil {
		return nil, err
	}
	if p.URL != "" || p.AuthZEN != "" {
		return p.newServer(ctx)
	}
	found, err := p.App().Engine(p.Engine)
	if err != nil {
		return nil, err
	}
	engine, ok := found.(*Engine)
	if !ok {
		return nil, fmt.Errorf("engine %q is a %T and not one of OPA", p.Engine, found)
	}
	e := &embedded{engine: engine.engine, decision: p.decision(), limit: p.timeout(defaultEngineTimeout), metrics: p.metrics.of(engine.label)}
	return e, e.check(engine)
}

func (p *PEP) timeout(usual time.Duration) time.Duration {
	if p.Timeout > 0 {
		return time.Duration(p.Timeout)
	}
	return usual
}

// embedded asks an engine inside the gateway.
type embedded struct {
	engine   *opaengine.Engine
	decision string
	limit    time.Duration
	options  []opaengine.Option
	metrics  *engineMetrics // nil for explanations
}

// check refuses a decision that the policies do not have: all requests would be
// refused. Policies that are still to come may have it.
func (e *embedded) check(engine *Engine) error {
	snapshot, err := e.engine.Snapshot()
	if err != nil || snapshot.Knows(e.decision) || !engine.isComplete() {
		return nil
	}
	return fmt.Errorf("decision %q is neither a package nor a rule of the policies: write 'decision <package>' with slashes, such as 'httpapi/authz' for 'package httpapi.authz'", e.decision)
}

// maxReplaced is how often policies may be replaced while a decision is made.
const maxReplaced = 5

// decide implements decider.
func (e *embedded) decide(ctx context.Context, q *question) (a answer, err error) {
	for range maxReplaced {
		snapshot, err := e.engine.Snapshot()
		if err != nil {
			return answer{}, err
		}
		a, err = e.decideBy(ctx, snapshot, q)
		if !errors.Is(err, opaengine.ErrReplaced) {
			return a, err
		}
	}
	return a, errUnavailable{opaengine.ErrReplaced}
}

func (e *embedded) decideBy(ctx context.Context, snapshot *opaengine.Snapshot, q *question) (answer, error) {
	input, err := q.build(snapshot.Uses())
	if err != nil {
		return answer{}, err
	}
	begun := time.Now()
	outcome, err := snapshot.Decide(ctx, e.decision, input, e.limit, e.options...)
	took := time.Since(begun)
	e.metrics.observe(took)
	return answer{outcome.Value, outcome.Revision, took}, err
}

// server asks an OPA server, or a PDP that speaks AuthZEN.
type server struct {
	client  *outbound.Client
	address string
	authzen bool
	metrics *engineMetrics // nil for explanations
}

func (p *PEP) newServer(ctx caddy.Context) (decider, error) {
	option, written := "url", p.URL
	if p.AuthZEN != "" {
		option, written = "authzen", p.AuthZEN
	}
	address, err := directive.Resolve(written)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	if err := p.checkURL(option, address); err != nil {
		return nil, err
	}
	secret, err := directive.Resolve(p.Token)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.ClientCertificate != "" {
		pair, err := tls.LoadX509KeyPair(p.ClientCertificate, p.ClientCertificateKey)
		if err != nil {
			return nil, fmt.Errorf("client_cert: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	s := &server{address: address, authzen: p.AuthZEN != "", metrics: p.metrics.of("")}
	name := "opa"
	if s.authzen {
		s.address, name = strings.TrimSuffix(address, "/")+"/access/v1/evaluation", "authzen"
	}
	s.client = outbound.New(name, p.timeout(defaultServerTimeout), secret, config)
	return s, nil
}

// decide implements decider.
func (s *server) decide(ctx context.Context, q *question) (answer, error) {
	document, header, err := s.document(q)
	if err != nil {
		return answer{}, err
	}
	begun := time.Now()
	body, err := s.client.Post(ctx, s.address, q.caller(), header, document)
	took := time.Since(begun)
	s.metrics.observe(took)
	if err != nil {
		return answer{}, errUnavailable{err}
	}
	value, err := s.read(body)
	return answer{value: value, took: took}, err
}

// document is what the server is sent.
func (s *server) document(q *question) ([]byte, http.Header, error) {
	if s.authzen {
		document, err := q.evaluation()
		return document, http.Header{"X-Request-Id": {q.decisionID()}}, err
	}
	input, err := q.build(opaengine.Everything())
	if err != nil {
		return nil, nil, err
	}
	plain, err := ast.JSON(input)
	if err != nil {
		return nil, nil, err
	}
	document, err := json.Marshal(map[string]any{"input": plain})
	return document, nil, err
}

// read returns the result in the answer of a server, nil if it has none.
func (s *server) read(body []byte) (ast.Value, error) {
	if s.authzen {
		return readEvaluation(body)
	}
	members, err := members(body)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.Name == "result" {
			return opaengine.ParseJSON(m.Value)
		}
	}
	return nil, nil
}

// members reads the object that a server answers with. What is not one says nothing
// about the request.
func members(body []byte) ([]strictjson.Member, error) {
	members, err := strictjson.Object(body)
	if err != nil {
		return nil, errUnavailable{fmt.Errorf("the answer cannot be read: %w", err)}
	}
	return members, nil
}

func (s *server) close() { s.client.Close() }
