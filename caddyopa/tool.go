// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/opaengine"
	"github.com/caddy-gluu/gateway/internal/policytool"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/pathmatch"
)

func init() {
	policytool.Register(tool{})
}

// tool lets the command line ask policies as the handler does.
type tool struct{}

// toolLimit is how long an evaluation of the command line may take: traces are slow.
const toolLimit = 10 * time.Second

// Load implements policytool.Tool.
func (tool) Load(pattern string) (policytool.Policy, error) {
	return load(new(PEP), opaengine.Settings{Files: []string{pattern}}, nil)
}

// LoadHandler implements policytool.Tool.
func (tool) LoadHandler(handler, app json.RawMessage) (policytool.Policy, error) {
	var configured struct {
		Engines   map[string]*Engine  `json:"opa"`
		Consumers []consumer.Consumer `json:"consumers"`
	}
	if app != nil {
		if err := json.Unmarshal(app, &configured); err != nil {
			return nil, err
		}
	}
	p := new(PEP)
	if err := json.Unmarshal(handler, p); err != nil {
		return nil, err
	}
	if p.URL != "" || p.AuthZEN != "" {
		return nil, policytool.ErrElsewhere
	}
	engine := configured.Engines[cmp.Or(p.Engine, "default")]
	if engine == nil {
		return nil, fmt.Errorf("engine %q does not exist: add 'opa %[1]s { ... }' to the app gluu", cmp.Or(p.Engine, "default"))
	}
	if err := engine.check(); err != nil {
		return nil, err
	}
	if !engine.isComplete() {
		return nil, policytool.ErrElsewhere
	}
	settings := opaengine.Settings{Capabilities: engine.Capabilities, Hosts: engine.AllowNet}
	for _, pattern := range engine.Policy {
		name, err := directive.Resolve(pattern)
		if err != nil {
			return nil, fmt.Errorf("policy: %w", err)
		}
		settings.Files = append(settings.Files, name)
	}
	return load(p, settings, configured.Consumers)
}

func load(p *PEP, settings opaengine.Settings, consumers []consumer.Consumer) (policytool.Policy, error) {
	if err := p.Config.check(); err != nil {
		return nil, err
	}
	if p.OpenAPI != nil {
		var err error
		if p.operations, err = enforce.NewFinder(p.OpenAPI); err != nil {
			return nil, err
		}
	}
	engine, err := opaengine.New(settings)
	if err != nil {
		return nil, err
	}
	snapshot, err := engine.Snapshot()
	p.logger = zap.NewNop()
	return &loaded{p, snapshot, consumers}, err
}

// loaded is a policy of the command line.
type loaded struct {
	pep       *PEP
	snapshot  *opaengine.Snapshot
	consumers []consumer.Consumer // of the configuration
}

// Ask implements policytool.Policy.
func (l *loaded) Ask(asked policytool.Question) (*policytool.Answer, error) {
	p := &PEP{Gate: l.pep.Gate, Config: l.pep.Config, logger: l.pep.logger, operations: l.pep.operations}
	if asked.Decision != "" {
		p.Decision = asked.Decision
	}
	if err := p.Config.check(); err != nil {
		return nil, err
	}
	if !l.snapshot.Knows(p.decision()) {
		return nil, fmt.Errorf("decision %q is neither a package nor a rule of the policy", p.decision())
	}
	q, refused, err := l.question(p, asked)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		return &policytool.Answer{Decision: "bad_request", Outcome: "error", Reason: refused.Error()}, nil
	}
	return l.ask(p, q, asked.Why)
}

func (l *loaded) ask(p *PEP, q *question, why bool) (*policytool.Answer, error) {
	input, err := q.build(opaengine.Everything())
	if e := asUnshown(err); e != nil {
		return &policytool.Answer{Decision: "bad_request", Outcome: "error", Reason: e.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	var trace opaengine.Trace
	var options []opaengine.Option
	if why {
		options = append(options, trace.Option())
	}
	outcome, err := l.snapshot.Decide(context.Background(), p.decision(), input, toolLimit, options...)
	if err != nil {
		return &policytool.Answer{Decision: "deny", Outcome: "error", Reason: err.Error(), Why: trace.Failed()}, nil
	}
	v := p.read(outcome.Value)
	a := &policytool.Answer{Decision: "deny", Operation: q.id.Operation, Outcome: v.outcome.String(), Why: trace.Failed(), Result: asJSON(outcome.Value)}
	switch v.outcome {
	case granted:
		a.Decision = "allow"
	case undefined:
		if p.Open() {
			a.Decision = "unprotected"
		}
		a.Reason = "the policy says nothing about the request; give it a default: 'default allow := false'"
	case failed:
		a.Reason = v.cause.Error()
	}
	return a, nil
}

// question makes the request that a question describes; or says why a gateway
// answers it 400.
func (l *loaded) question(p *PEP, asked policytool.Question) (q *question, refused, err error) {
	method, target, _ := strings.Cut(strings.TrimSpace(asked.Request), " ")
	target = strings.TrimSpace(target)
	if method == "" || !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \r\n") {
		return nil, nil, fmt.Errorf(`%q is not a request: write a method and a path, for example "GET /todos/7"`, asked.Request)
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")))
	if err != nil {
		return nil, err, nil
	}
	if known := pathmatch.FoldedMethod(method); known != "" {
		return nil, fmt.Errorf("methods are case-sensitive; write %s", known), nil
	}
	q = &question{pep: p, r: r, rawPath: r.URL.EscapedPath(), started: time.Now()}
	path, err := pathmatch.Canonicalize(r.URL, p.PathOptions())
	if err != nil {
		return nil, err, nil
	}
	path.Apply(r.URL)
	q.path = path.Decoded
	if q.id, err = l.identity(asked); err == nil && p.operations != nil {
		err = p.operations.Note(q.id, method, q.path)
	}
	return q, nil, err
}

// identity is the caller that a question describes. A consumer that the
// configuration does not have is one of that name.
func (l *loaded) identity(asked policytool.Question) (*identity.Identity, error) {
	id := new(identity.Identity)
	if asked.Consumer != "" {
		all := slices.Clone(l.consumers)
		if !slices.ContainsFunc(all, func(c consumer.Consumer) bool { return c.Username == asked.Consumer }) {
			all = append(all, consumer.Consumer{Username: asked.Consumer})
		}
		directory, err := consumer.NewDirectory(all, nil)
		if err != nil {
			return nil, err
		}
		id.Consumer = directory.Find(asked.Consumer)
	}
	if asked.NoToken {
		id.Anonymous = id.Consumer != nil
		return id, nil
	}
	claims := map[string]any{}
	if asked.Claims != nil {
		if _, err := opaengine.ParseJSON(string(asked.Claims)); err != nil {
			return nil, fmt.Errorf("claims: %w", err)
		}
		decoder := json.NewDecoder(strings.NewReader(string(asked.Claims)))
		decoder.UseNumber()
		if err := decoder.Decode(&claims); err != nil || claims == nil {
			return nil, errors.New("claims: they are an object: write {\"sub\": \"ann\"}")
		}
	}
	if len(asked.Scopes) > 0 && claims["scope"] == nil {
		claims["scope"] = strings.Join(asked.Scopes, " ")
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	id.Token = &token.Token{
		ClientID: firstText(claims, "client_id", "azp", "cid"), Subject: firstText(claims, "sub"),
		Scopes: scopesOf(claims, asked.Scopes), ClaimsJSON: string(text),
	}
	return id, nil
}

func firstText(claims map[string]any, names ...string) string {
	for _, name := range names {
		if text, ok := claims[name].(string); ok && text != "" {
			return text
		}
	}
	return ""
}

// scopesOf joins the scopes of a token, as a text or a list, with others.
func scopesOf(claims map[string]any, more []string) []string {
	var scopes []string
	for _, name := range []string{"scope", "scp"} {
		switch value := claims[name].(type) {
		case string:
			scopes = append(scopes, strings.Fields(value)...)
		case []any:
			for _, element := range value {
				if text, ok := element.(string); ok {
					scopes = append(scopes, text)
				}
			}
		}
	}
	for _, scope := range more {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// Test implements policytool.Tool. The policies and data in the folders of the files
// belong to the tests.
func (tool) Test(files []string) ([]policytool.TestResult, error) {
	names := slices.Clone(files)
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.rego") {
			continue
		}
		for _, pattern := range []string{"*.rego", "*.json"} {
			beside, err := filepath.Glob(filepath.Join(filepath.Dir(file), pattern))
			if err != nil {
				return nil, err
			}
			names = append(names, beside...)
		}
	}
	for i := range names {
		names[i] = filepath.Clean(names[i])
	}
	slices.Sort(names)
	results, err := opaengine.RunTests(context.Background(), slices.Compact(names))
	if err != nil {
		return nil, err
	}
	all := make([]policytool.TestResult, 0, len(results))
	for _, r := range results {
		one := policytool.TestResult{File: r.Location.File, Line: r.Location.Row, Name: r.Package + "." + r.Name, Passed: r.Pass(), Skipped: r.Skip}
		if r.Error != nil {
			one.Error = r.Error.Error()
		}
		all = append(all, one)
	}
	return all, nil
}
