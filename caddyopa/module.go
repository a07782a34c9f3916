// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/opaengine"
	"github.com/caddy-gluu/gateway/internal/status"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(new(Engine))
}

// Engine is Open Policy Agent inside the gateway: the block `opa` of the app `gluu`. All
// handlers that name it share its policies. It outlives a reload of the configuration, as
// long as its settings stay the same.
type Engine struct {
	// Files of policies (`.rego`) and data (`.json`, `.yaml`), or patterns such as
	// `policies/*.rego`. Tests (`*_test.rego`) that a pattern matches are left out.
	Policy []string `json:"policy,omitempty"`

	// Whether the files are read again when they change. What cannot be compiled
	// changes nothing and is logged. In a Caddyfile the word `watch` after the files.
	// Default: false.
	Watch bool `json:"watch,omitempty"`

	// Signed bundles of policies and data, by name.
	Bundles map[string]*BundleConfig `json:"bundle,omitempty"`

	// A file with OPA's own configuration: services, bundles, discovery, decision logs,
	// status and keys. It stands alone.
	OPAConfig string `json:"config,omitempty"`

	// What policies may call: `strict` leaves out `http.send`, `net.lookup_ip_addr`,
	// `opa.runtime`, `rego.parse_module` and `trace`; `all` leaves out nothing. Default:
	// `strict`.
	Capabilities string `json:"capabilities,omitempty"`

	// The hosts that policies may reach with `http.send` and `net.lookup_ip_addr`.
	// Default: none, or every host with `capabilities all`.
	AllowNet []string `json:"allow_net,omitempty"`

	// For how long policies are used while the server of their bundle does not answer.
	// Then requests are answered 503. Default: for ever.
	MaxStale caddy.Duration `json:"max_stale,omitempty"`

	// Whether the last good bundle is kept in Caddy's storage, so that the gateway can
	// start while the server is unavailable. Default: true.
	Persist *bool `json:"persist,omitempty"`

	engine *opaengine.Engine
	key    string // in the pool
	label  string
}

// BundleConfig is where a bundle is downloaded from.
type BundleConfig struct {
	// The address of the bundle.
	URL string `json:"url,omitempty"`

	// A file with the public key or the certificate that the bundle is signed with, in
	// PEM: RSA (RS256), P-256 (ES256) or Ed25519 (EdDSA).
	Key string `json:"key,omitempty"`

	// A secret that is sent as a bearer token. Load-time placeholders are allowed.
	Token string `json:"token,omitempty"`

	// A file with a certificate by which the server knows the gateway, PEM. In a
	// Caddyfile `client_cert <certificate file> <key file>`.
	ClientCertificate string `json:"client_certificate,omitempty"`

	// A file with the private key of the certificate, PEM.
	ClientCertificateKey string `json:"client_certificate_key,omitempty"`

	// The shortest pause between two questions. In a Caddyfile `poll <shortest>
	// <longest>`. Default: 30s.
	MinPoll caddy.Duration `json:"min_poll,omitempty"`

	// The longest pause between two questions. Default: 60s.
	MaxPoll caddy.Duration `json:"max_poll,omitempty"`

	// How long the server may wait with its answer until there is a new bundle.
	// Default: not at all.
	LongPoll caddy.Duration `json:"long_poll,omitempty"`
}

const (
	defaultMinPoll = 30 * time.Second
	defaultMaxPoll = 60 * time.Second
	minPoll        = time.Second
)

// engines outlive configurations.
var engines = caddy.NewUsagePool()

// CaddyModule returns the Caddy module information.
func (*Engine) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "gluu.opa",
		New: func() caddy.Module { return new(Engine) },
	}
}

// Provision compiles the policies, or finds the engine of an earlier configuration that
// has the same ones.
func (e *Engine) Provision(ctx caddy.Context) error {
	if err := e.check(); err != nil {
		return err
	}
	settings, err := e.settings(ctx)
	if err != nil {
		return err
	}
	if e.key, err = e.poolKey(settings); err != nil {
		return err
	}
	pooled, _, err := engines.LoadOrNew(e.key, func() (caddy.Destructor, error) { return opaengine.New(settings) })
	if err != nil {
		e.key = ""
		return err
	}
	e.engine = pooled.(*opaengine.Engine)
	return nil
}

// Named implements introspect.PolicyEngine: the name is a label of metrics.
func (e *Engine) Named(ctx caddy.Context, name string) error {
	e.label = name
	return e.registerAge(ctx.GetMetricsRegistry())
}

// Start implements introspect.PolicyEngine. It begins to watch and to download.
func (e *Engine) Start() { e.engine.Start() }

// Changed implements introspect.PolicyEngine.
func (e *Engine) Changed() <-chan struct{} { return e.engine.Changed() }

// Status implements introspect.PolicyEngine.
func (e *Engine) Status() status.Engine {
	s := e.engine.Status()
	s.Name = e.label
	return s
}

// Cleanup implements caddy.CleanerUpper.
func (e *Engine) Cleanup() error {
	if e.key == "" {
		return nil
	}
	_, err := engines.Delete(e.key)
	return err
}

// check refuses what cannot be right.
func (e *Engine) check() error {
	switch {
	case len(e.Policy) == 0 && len(e.Bundles) == 0 && e.OPAConfig == "":
		return errors.New("there are no policies: write 'policy <file>...', 'bundle <name> <url> { key <file> }' or 'config <file>'")
	case e.OPAConfig != "" && (len(e.Policy) > 0 || len(e.Bundles) > 0):
		return errors.New("config stands alone: it has its own bundles; remove policy and bundle, or config")
	case e.Watch && len(e.Policy) == 0:
		return errors.New("watch is about files, and there are none: write 'policy <file>... watch', or remove it")
	case e.Capabilities != "" && e.Capabilities != opaengine.Strict && e.Capabilities != opaengine.All:
		return fmt.Errorf("capabilities is strict or all, not %q", e.Capabilities)
	case e.MaxStale < 0:
		return fmt.Errorf("max_stale cannot be negative, got %s", time.Duration(e.MaxStale))
	case e.MaxStale > 0 && len(e.Bundles) == 0 && e.OPAConfig == "":
		return errors.New("max_stale is about bundles, and there are none: files do not age")
	}
	for _, host := range e.AllowNet {
		if strings.ContainsAny(host, "/*: ") || host == "" {
			return fmt.Errorf("allow_net %q is not the name of a host: write it without scheme, port and path, such as 'users.example.com'", host)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Bundles)) {
		if err := e.Bundles[name].check(); err != nil {
			return fmt.Errorf("bundle %s: %w", name, err)
		}
	}
	return nil
}

func (b *BundleConfig) check() error {
	if b == nil {
		return errors.New("there is nothing in it: it has a url and a key")
	}
	switch {
	case b.URL == "":
		return errors.New("it has no url: write 'bundle <name> <url>'")
	case b.Key == "":
		return errors.New("it has no key: any server that answers in its place could then decide who may do what; write 'key <pem file>', and sign with 'opa sign'")
	case (b.ClientCertificate == "") != (b.ClientCertificateKey == ""):
		return errors.New("client_certificate and client_certificate_key belong together: write both files")
	case b.MinPoll < 0 || b.MaxPoll < 0 || b.LongPoll < 0:
		return errors.New("durations cannot be negative")
	case b.MinPoll > 0 && time.Duration(b.MinPoll) < minPoll:
		return fmt.Errorf("min_poll is %s at least, not %s", minPoll, time.Duration(b.MinPoll))
	case b.MaxPoll > 0 && b.MaxPoll < b.MinPoll:
		return fmt.Errorf("max_poll %s is shorter than min_poll %s", time.Duration(b.MaxPoll), time.Duration(b.MinPoll))
	}
	if !directive.HasPlaceholder(b.URL) && !isHTTP(b.URL) {
		return fmt.Errorf("url %q is not an address: write 'https://...' (a bundle is signed, so http is possible too)", b.URL)
	}
	return nil
}

func isHTTP(address string) bool {
	return strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://")
}

// settings resolves what the configuration leaves to files and the environment.
func (e *Engine) settings(ctx caddy.Context) (opaengine.Settings, error) {
	s := opaengine.Settings{
		Watch: e.Watch, Capabilities: e.Capabilities, Hosts: e.AllowNet, MaxStale: time.Duration(e.MaxStale), Logger: ctx.Logger(),
	}
	if e.Persist == nil || *e.Persist {
		s.Storage = ctx.Storage()
	}
	for _, pattern := range e.Policy {
		name, err := directive.Resolve(pattern)
		if err != nil {
			return s, fmt.Errorf("policy: %w", err)
		}
		s.Files = append(s.Files, name)
	}
	if e.OPAConfig != "" {
		name, err := directive.Resolve(e.OPAConfig)
		if err != nil {
			return s, fmt.Errorf("config: %w", err)
		}
		if s.OPA, err = os.ReadFile(name); err != nil {
			return s, fmt.Errorf("config: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Bundles)) {
		b, err := e.Bundles[name].bundle(name)
		if err != nil {
			return s, fmt.Errorf("bundle %s: %w", name, err)
		}
		s.Bundles = append(s.Bundles, b)
	}
	return s, nil
}

func (b *BundleConfig) bundle(name string) (opaengine.Bundle, error) {
	resolved := opaengine.Bundle{Name: name, MinPoll: time.Duration(b.MinPoll), MaxPoll: time.Duration(b.MaxPoll), LongPoll: time.Duration(b.LongPoll)}
	if resolved.MinPoll == 0 {
		resolved.MinPoll = min(defaultMinPoll, max(resolved.MaxPoll, minPoll))
		if resolved.MaxPoll == 0 {
			resolved.MinPoll = defaultMinPoll
		}
	}
	if resolved.MaxPoll == 0 {
		resolved.MaxPoll = max(defaultMaxPoll, resolved.MinPoll)
	}
	var err error
	if resolved.URL, err = directive.Resolve(b.URL); err != nil {
		return resolved, fmt.Errorf("url: %w", err)
	}
	if !isHTTP(resolved.URL) {
		return resolved, errors.New("url does not resolve to an address with https:// or http://")
	}
	if resolved.Token, err = directive.Resolve(b.Token); err != nil {
		return resolved, fmt.Errorf("token: %w", err)
	}
	if resolved.Token != "" {
		if _, err := directive.URL("url", resolved.URL); err != nil {
			return resolved, fmt.Errorf("the token would be open to everyone on the way: %w", err)
		}
	}
	if resolved.Key, err = os.ReadFile(b.Key); err != nil {
		return resolved, fmt.Errorf("key: %w", err)
	}
	if b.ClientCertificate != "" {
		pair, err := tls.LoadX509KeyPair(b.ClientCertificate, b.ClientCertificateKey)
		if err != nil {
			return resolved, fmt.Errorf("client_cert: %w", err)
		}
		resolved.Certificate = []tls.Certificate{pair}
	}
	return resolved, nil
}

// poolKey is the same for two engines that decide by the same policies: files that are
// not watched are a part of it by their content.
func (e *Engine) poolKey(s opaengine.Settings) (string, error) {
	revision := ""
	if len(s.Files) > 0 && !s.Watch {
		var err error
		if revision, err = opaengine.FilesRevision(s.Files); err != nil {
			return "", err
		}
	}
	settings, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	fmt.Fprintf(digest, "%s\n%s\n%s\n%s", settings, revision, s.OPA, storageName(s.Storage))
	for _, b := range s.Bundles {
		fmt.Fprintf(digest, "\n%q %q %q", b.URL, b.Token, b.Key)
		for _, pair := range b.Certificate {
			fmt.Fprintf(digest, " %x", pair.Certificate)
		}
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func storageName(storage opaengine.Storage) string {
	if s, ok := storage.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", storage)
}

// isComplete reports whether all policies are there that there will be.
func (e *Engine) isComplete() bool { return len(e.Bundles) == 0 && e.OPAConfig == "" }

// registerAge has the metrics tell how old the policies are.
func (e *Engine) registerAge(registry *prometheus.Registry) error {
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gluu_opa_policy_age_seconds", Help: "How long ago the server of a bundle last said that it is the newest one; 0 for files.",
		ConstLabels: prometheus.Labels{"engine": e.label},
	}, func() float64 { return e.engine.Age().Seconds() })
	_, err := register(registry, gauge)
	return err
}

// Interface guards
var (
	_ caddy.Provisioner       = (*Engine)(nil)
	_ caddy.CleanerUpper      = (*Engine)(nil)
	_ introspect.PolicyEngine = (*Engine)(nil)
)
