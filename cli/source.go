// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/internal/openapi"
	"github.com/caddy-gluu/gateway/internal/policytool"
	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// A source is a policy with the options of its handler.
type source struct {
	name           string // for messages
	policy         *scopeexpr.Policy
	uma            bool // the rules are those of UMA resources
	denyByDefault  bool
	ambiguousPaths string
	encodedSlashes string
	resourcePrefix string
	obtainsRPT     bool         // the gateway asks for the permissions of people who have logged in
	api            *openapi.API // what the OpenAPI document says, nil if there is none
	isRego         bool         // of gluu_opa_pep: the policy is rego
	rego           policytool.Policy
	refused        error // why the policy is missing
}

// paths says how the handler reads paths.
func (s *source) paths() pathmatch.Options {
	c := enforce.Config{AmbiguousPaths: s.ambiguousPaths, EncodedSlashes: s.encodedSlashes}
	return c.PathOptions()
}

// A refusedError says that a policy does not load. A file that cannot be read is
// another kind of error.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

// sourceFlags select a policy. They are flags of explain and rules, and members of
// a test file.
type sourceFlags struct {
	Policy         string `yaml:"policy"`
	Handler        int    `yaml:"handler"`
	DenyByDefault  *bool  `yaml:"deny_by_default"`
	AmbiguousPaths string `yaml:"ambiguous_paths"`
	EncodedSlashes string `yaml:"encoded_slashes"`
	UMA            bool   `yaml:"uma"`

	documentFlags `yaml:",inline"`
}

// register adds the flags to a command.
func (f *sourceFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.Policy, "policy", "p", "", "Scope expression document (JSON), Caddyfile or Caddy JSON configuration")
	cmd.Flags().IntVar(&f.Handler, "handler", 0, "Number of the handler, counting from 1")
	cmd.Flags().BoolVar(&f.UMA, "uma", false, "Read the document as one of gluu_uma_pep")
	cmd.Flags().StringVar(&f.OpenAPI, "openapi", "", "OpenAPI document, in place of a policy")
	f.documentFlags.registerOptions(cmd)
	_ = cmd.MarkFlagFilename("policy")
}

// registerDefaults adds the flags that override options of the handler.
func (f *sourceFlags) registerDefaults(cmd *cobra.Command) {
	f.DenyByDefault = new(bool)
	cmd.Flags().BoolVar(f.DenyByDefault, "deny-by-default", true, "Refuse requests that no rule matches; overrides the configuration")
	cmd.Flags().StringVar(&f.AmbiguousPaths, "ambiguous-paths", "", "Ambiguous paths: reject or allow; overrides the configuration")
	_ = cmd.RegisterFlagCompletionFunc("ambiguous-paths", cobra.FixedCompletions([]string{"reject", "allow"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().StringVar(&f.EncodedSlashes, "encoded-slashes", "", "Encoded slashes: reject or keep; overrides the configuration")
	_ = cmd.RegisterFlagCompletionFunc("encoded-slashes", cobra.FixedCompletions([]string{"reject", "keep"}, cobra.ShellCompDirectiveNoFileComp))
}

// check refuses invalid values.
func (f *sourceFlags) check() error {
	switch f.AmbiguousPaths {
	case "", "reject", "allow":
	default:
		return fmt.Errorf("ambiguous_paths must be reject or allow, not %q", f.AmbiguousPaths)
	}
	switch f.EncodedSlashes {
	case "", "reject", "keep":
	default:
		return fmt.Errorf("encoded_slashes must be reject or keep, not %q", f.EncodedSlashes)
	}
	if f.Handler < 0 {
		return fmt.Errorf("handler numbers start at 1, got %d", f.Handler)
	}
	return nil
}

// one loads the selected policy. Its file is relative to a folder.
func (f *sourceFlags) one(folder string) (*source, error) {
	sources, err := f.chosen(folder)
	if err != nil {
		return nil, err
	}
	if len(sources) > 1 {
		return nil, fmt.Errorf("%q has several handlers with a policy; choose one by its number with --handler (in a test file, with handler):%s", f.Policy, list(sources))
	}
	s := sources[0]
	switch {
	case errors.Is(s.refused, policytool.ErrNone), errors.Is(s.refused, policytool.ErrElsewhere):
		return nil, fmt.Errorf("%s: %w", s.name, s.refused)
	case s.refused != nil:
		return nil, refusedError{fmt.Errorf("%s: %w", s.name, s.refused)}
	case s.isRego && (f.DenyByDefault != nil || f.AmbiguousPaths != "" || f.EncodedSlashes != ""):
		return nil, fmt.Errorf("%s: deny_by_default, ambiguous_paths and encoded_slashes are those of the configuration; leave them out", s.name)
	}
	f.override(s)
	return s, nil
}

// override applies the flags, which take precedence over the configuration.
func (f *sourceFlags) override(s *source) {
	if f.DenyByDefault != nil {
		s.denyByDefault = *f.DenyByDefault
	}
	if f.AmbiguousPaths != "" {
		s.ambiguousPaths = f.AmbiguousPaths
	}
	if f.EncodedSlashes != "" {
		s.encodedSlashes = f.EncodedSlashes
	}
}

// chosen loads all policies of the file, or the selected one.
func (f *sourceFlags) chosen(folder string) ([]*source, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	sources, err := f.all(folder)
	switch {
	case err != nil:
		return nil, err
	case f.Handler > len(sources):
		return nil, fmt.Errorf("%q has no handler %d; choose one of:%s", f.Policy, f.Handler, list(sources))
	case f.Handler > 0:
		return sources[f.Handler-1 : f.Handler], nil
	}
	return sources, nil
}

// list lists sources with their numbers, one per line.
func list(sources []*source) string {
	var b strings.Builder
	for i, s := range sources {
		fmt.Fprintf(&b, "\n\t%d  %s", i+1, s.name)
	}
	return b.String()
}

// maxPolicyFile is far larger than any policy.
const maxPolicyFile = 64 << 20

// all loads every policy in a file. There is at least one.
func (f *sourceFlags) all(folder string) ([]*source, error) {
	switch {
	case f.OpenAPI != "" && f.Policy != "":
		return nil, fmt.Errorf("policy %q and openapi %q exclude each other; leave one out", f.Policy, f.OpenAPI)
	case f.OpenAPI != "" && f.Handler > 0:
		return nil, fmt.Errorf("a handler can be chosen only in a configuration, and %q is an OpenAPI document; leave the handler out", f.OpenAPI)
	case f.OpenAPI != "":
		return f.fromDocument(folder), nil
	case f.documentFlags.hasOptions():
		return nil, errors.New("security_scheme, base_path, unlisted and prefix are only for an OpenAPI document; a configuration has them in its openapi block")
	}
	name := f.Policy
	if !filepath.IsAbs(name) {
		name = filepath.Join(folder, name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, unreadable("policy", name, err)
	}
	if info.Size() > maxPolicyFile {
		return nil, fmt.Errorf("%q has %d bytes, but a policy file can have at most %d", name, info.Size(), maxPolicyFile)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, unreadable("policy", name, err)
	}
	format := formatOf(name, text)
	switch {
	case format == documentFormat && f.Handler > 0:
		return nil, fmt.Errorf("a handler can be chosen only in a configuration, and %q is a scope expression document; leave the handler out", f.Policy)
	case format == documentFormat:
		return []*source{documentSource(f.Policy, text, f.UMA)}, nil
	case f.UMA:
		return nil, fmt.Errorf("uma is only for scope expression documents, and %q is a configuration, whose handlers say what they are; leave uma out", f.Policy)
	case format == caddyfileFormat:
		return caddyfileSources(f.Policy, name, text)
	}
	return handlers(f.Policy, text)
}

// unreadable says which file cannot be read, and as what it was named.
func unreadable(what, name string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("the %s file %q cannot be read: %w; write the path of a file that exists", what, name, err)
}

// documentSource compiles a document that is a file of its own.
func documentSource(name string, text []byte, uma bool) *source {
	s := &source{name: name, denyByDefault: true, uma: uma}
	document, err := scopeexpr.ParseDocument(text)
	if err == nil {
		s.policy, err = document.Compile(scopeexpr.Options{UMA: uma})
	}
	s.refused = err
	return s
}

type format int

const (
	documentFormat format = iota
	caddyfileFormat
	caddyJSONFormat
)

// formatOf tells formats apart: by what the text is if it is JSON, otherwise by
// the name, so that JSON with a mistake in it is called that.
func formatOf(name string, text []byte) format {
	text = bytes.TrimSpace(text)
	object := len(text) > 0 && text[0] == '{'
	base := strings.ToLower(filepath.Base(name))
	switch {
	case json.Valid(text) && object:
		return caddyJSONFormat
	case json.Valid(text):
		return documentFormat
	case strings.HasPrefix(base, "caddyfile"), strings.HasSuffix(base, ".caddyfile"):
		return caddyfileFormat
	case strings.HasSuffix(base, ".json") && object:
		return caddyJSONFormat
	case strings.HasSuffix(base, ".json"), listStart.Match(text):
		return documentFormat
	}
	return caddyfileFormat
}

// listStart matches the start of a JSON list, but not a site address [::1].
var listStart = regexp.MustCompile(`^\[\s*[{"\]]`)
