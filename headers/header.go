// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Format is how the value of an expression becomes the value of a header.
type Format string

// The formats. Without one a scalar is a string and anything else base64.
const (
	FormatDefault    Format = ""
	FormatString     Format = "string"     // as it is; an object or list as JSON
	FormatBase64     Format = "base64"     // the string, in the standard alphabet with padding
	FormatURLEncoded Format = "urlencoded" // the string, percent-encoded (RFC 3986, section 2.1)
	FormatList       Format = "list"       // the elements, joined by the separator
	FormatJWT        Format = "jwt"        // an object, signed by the gateway
)

// HeaderConfig is one custom header, as configured.
type HeaderConfig struct {
	// The name of the header. A `_` becomes a `-`. With `iterate` it contains
	// `{*}`, which is replaced by the key.
	HeaderName string `json:"header_name"`

	// What the header says: a CEL expression over the variables of the
	// handler, such as `introspect_data.client_id` or `consumer.username`. A
	// constant is an expression too and so needs quotes: `"version 2.0"`,
	// which a Caddyfile wants between backticks. An expression that comes to
	// nothing (a claim that is not there) sets no header.
	Value string `json:"value"`

	// How the value is written: `string`, `base64`, `urlencoded`, `list` or
	// `jwt`. Default: `string` for a string, number or boolean, `base64` (of
	// the JSON) for anything else.
	Format Format `json:"format,omitempty"`

	// The separator between the elements of a `list`. Default: `,`
	Sep string `json:"sep,omitempty"`

	// Set one header for each member of the object that the expression
	// yields, instead of one for the whole.
	Iterate bool `json:"iterate,omitempty"`
}

// Line is one header of a request. The name is in the form of the keys of
// http.Header.
type Line struct{ Name, Value string }

// Header is a compiled custom header. It is safe for concurrent use.
type Header struct {
	name       string // canonical, with {*} if iterated
	format     Format
	sep        string
	iterate    bool
	expression *expression
	reported   reported
}

// Set is the custom headers of one handler. No two of them can be taken for
// one. It is safe for concurrent use.
type Set struct{ headers []*Header }

// CompileSet compiles custom headers over the named variables. An error says
// which header is wrong, where, and what to write instead.
func CompileSet(configs []HeaderConfig, vars ...string) (*Set, error) {
	env, err := newEnv(vars)
	if err != nil {
		return nil, err
	}
	set := new(Set)
	seen := make(map[string]string)
	for _, cfg := range configs {
		h, err := compileHeader(cfg, env)
		if err != nil {
			return nil, err
		}
		folded := Fold(h.name)
		if other, ok := seen[folded]; ok {
			return nil, fmt.Errorf("header %q is set twice (before as %q): an upstream may take both for one, so remove one of them", cfg.HeaderName, other)
		}
		seen[folded] = cfg.HeaderName
		set.headers = append(set.headers, h)
	}
	// A header set by name has precedence over one made from an object's key:
	// see Render.
	slices.SortStableFunc(set.headers, func(a, b *Header) int {
		return cmp.Compare(iterated(a), iterated(b))
	})
	return set, nil
}

func iterated(h *Header) int {
	if h.iterate {
		return 1
	}
	return 0
}

// CompileHeader compiles one custom header over the named variables.
func CompileHeader(cfg HeaderConfig, vars ...string) (*Header, error) {
	env, err := newEnv(vars)
	if err != nil {
		return nil, err
	}
	return compileHeader(cfg, env)
}

// Names returns the names of all headers that the set can produce, for
// [NewStripper]. A name may contain a [Wildcard].
func (s *Set) Names() []string {
	names := make([]string, len(s.headers))
	for i, h := range s.headers {
		names[i] = h.name
	}
	return names
}

// Len returns how many headers are configured.
func (s *Set) Len() int { return len(s.headers) }

// NeedsSigning reports whether a header has the format jwt.
func (s *Set) NeedsSigning() bool {
	return slices.ContainsFunc(s.headers, func(h *Header) bool { return h.format == FormatJWT })
}

// Name returns the name of the header, with a [Wildcard] if it is iterated.
func (h *Header) Name() string { return h.name }

// check refuses what is wrong with any expression.
func (cfg HeaderConfig) check() (name string, err error) {
	name, err = CanonicalName(cfg.HeaderName, cfg.Iterate)
	if err != nil {
		return "", err
	}
	fail := func(format string, args ...any) (string, error) {
		return "", fmt.Errorf("header %q: %s", cfg.HeaderName, fmt.Sprintf(format, args...))
	}
	switch cfg.Format {
	case FormatDefault, FormatString, FormatBase64, FormatURLEncoded:
	case FormatList, FormatJWT:
		if cfg.Iterate {
			return fail("header_each writes one header for each member, not one %s: use header with %[1]s, or header_each with string, base64 or urlencoded", cfg.Format)
		}
	default:
		return fail("unknown format %q: write string, base64, urlencoded, list or jwt", cfg.Format)
	}
	switch {
	case cfg.Sep != "" && cfg.Format != FormatList:
		return fail("a separator (here %q) needs the format list", cfg.Sep)
	case len(cfg.Sep) > maxSeparator:
		return fail("a separator of %d bytes: at most %d are allowed", len(cfg.Sep), maxSeparator)
	case !printable(cfg.Sep):
		return fail("the separator contains a control character, which no header can")
	case strings.TrimSpace(cfg.Value) == "":
		return fail("an expression is missing, such as introspect_data.client_id, or a constant in quotes")
	}
	return name, nil
}

const maxSeparator = 16

func compileHeader(cfg HeaderConfig, env *environment) (*Header, error) {
	name, err := cfg.check()
	if err != nil {
		return nil, err
	}
	expression, err := env.compile(cfg.Value)
	if err != nil {
		return nil, fmt.Errorf("header %q: %w", cfg.HeaderName, err)
	}
	return &Header{
		name: name, format: cfg.Format, sep: cmp.Or(cfg.Sep, ","), iterate: cfg.Iterate,
		expression: expression,
	}, nil
}
