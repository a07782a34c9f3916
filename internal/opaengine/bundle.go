// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/keys"
)

// Bundle is where policies are downloaded from, and whose they must be.
type Bundle struct {
	Name string
	URL  string

	// Key is the public key or the certificate that signatures are checked with, in
	// PEM. There is no bundle without one: who can answer for the server would
	// decide who may do what.
	Key []byte

	Token       string            // sent as a bearer token; "" for none
	Certificate []tls.Certificate // of the client

	// MinPoll and MaxPoll are the shortest and the longest pause between two
	// questions; LongPoll is how long the server may wait with the answer, 0 for not
	// at all.
	MinPoll, MaxPoll, LongPoll time.Duration

	verification *bundle.VerificationConfig
	client       *http.Client
}

// MaxBundle bounds a bundle, packed and unpacked: while it is activated it is in
// memory twice.
const MaxBundle = 64 << 20

const keyName = "gateway"

func (b *Bundle) prepare() error {
	algorithm, err := algorithmOf(b.Key)
	if err != nil {
		return err
	}
	b.verification = bundle.NewVerificationConfig(map[string]*keys.Config{keyName: {Key: string(b.Key), Algorithm: algorithm}}, keyName, "", nil)
	b.client = newClient(b.Certificate)
	return nil
}

// algorithmOf returns the algorithm of a key: each kind of key has one.
func algorithmOf(text []byte) (string, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return "", errors.New("key is not in PEM: it begins with '-----BEGIN PUBLIC KEY-----' or '-----BEGIN CERTIFICATE-----'")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = certificate.PublicKey
		}
	default:
		return "", fmt.Errorf("key is a %q: give the public key", block.Type)
	}
	if err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	return algorithmFor(key)
}

func algorithmFor(key any) (string, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return "RS256", nil
	case ed25519.PublicKey:
		return "EdDSA", nil
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize == 256 {
			return "ES256", nil
		}
		return "", fmt.Errorf("key is on the curve %s: use P-256", key.Curve.Params().Name)
	}
	return "", fmt.Errorf("key of the type %T cannot sign bundles: use RSA, P-256 or Ed25519", key)
}

// read checks a packed bundle and returns what it contains.
func (b *Bundle) read(packed []byte) (*source, error) {
	if err := checkUnpackedSize(packed); err != nil {
		return nil, err
	}
	unpacked, err := b.parse(packed, ast.RegoV1)
	legacy := false
	if err != nil {
		old, oldErr := b.parse(packed, ast.RegoV0)
		if oldErr != nil {
			return nil, describe(err)
		}
		unpacked, legacy = old, true
	}
	switch {
	case unpacked.Type() != bundle.SnapshotBundleType:
		return nil, errors.New("it is a delta bundle: have the server send a snapshot")
	case len(unpacked.WasmModules) > 0 || len(unpacked.PlanModules) > 0:
		return nil, errors.New("it contains compiled policies: build it with 'opa build --target rego'")
	}
	return b.sourceOf(unpacked, legacy), nil
}

func (b *Bundle) parse(packed []byte, version ast.RegoVersion) (bundle.Bundle, error) {
	return bundle.NewCustomReader(bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(packed), "")).
		WithBundleVerificationConfig(b.verification).
		WithSizeLimitBytes(MaxBundle).
		WithBundleName(b.Name).
		WithRegoVersion(version).
		Read()
}

func (b *Bundle) sourceOf(unpacked bundle.Bundle, legacy bool) *source {
	s := &source{
		name: b.Name, modules: make(map[string]*ast.Module, len(unpacked.Modules)), data: unpacked.Data,
		revision: unpacked.Manifest.Revision, roots: []string{""},
	}
	if unpacked.Manifest.Roots != nil {
		s.roots = *unpacked.Manifest.Roots
	}
	for _, module := range unpacked.Modules {
		if isTestFile(module.Path) {
			continue
		}
		name := b.Name + ":" + module.Path
		if s.modules[name] = module.Parsed; legacy && module.Parsed.RegoVersionSpan() == ast.RegoVersionSpanOf(ast.RegoV0) {
			s.legacy = append(s.legacy, module.Path)
		}
	}
	return s
}

// checkUnpackedSize refuses what would fill the memory once it is unpacked. OPA's own
// limit is one for each file.
func checkUnpackedSize(packed []byte) error {
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return fmt.Errorf("it is not packed with gzip: %w", err)
	}
	size, err := io.Copy(io.Discard, io.LimitReader(unzipped, MaxBundle+1))
	switch {
	case err != nil:
		return fmt.Errorf("unpacking it: %w", err)
	case size > MaxBundle:
		return fmt.Errorf("it is larger than %d MiB once it is unpacked", MaxBundle>>20)
	}
	return nil
}

// checkRoots refuses sources that speak about the same things.
func checkRoots(sources []*source) error {
	for i, s := range sources {
		for _, other := range sources[:i] {
			if at, ok := overlap(s, other); ok {
				return fmt.Errorf("bundle %s says by its roots that it owns %q, and so does %s: give each bundle roots of its own in its .manifest", s.name, at, other.title())
			}
		}
	}
	return nil
}

func (s *source) title() string {
	if s.name == "" {
		return "a file"
	}
	return "bundle " + s.name
}

// owned returns the paths that a source speaks about.
func (s *source) owned() []string {
	if s.roots != nil {
		return s.roots
	}
	var paths []string
	for _, module := range s.modules {
		if ptr, err := module.Package.Path.Ptr(); err == nil {
			paths = append(paths, strings.TrimPrefix(strings.TrimPrefix(ptr, "data"), "/"))
		}
	}
	for name := range s.data {
		paths = append(paths, name)
	}
	slices.Sort(paths)
	return paths
}

// overlap finds a path that both own. At least one is a bundle.
func overlap(a, b *source) (string, bool) {
	for _, x := range a.owned() {
		for _, y := range b.owned() {
			if within(x, y) {
				return x, true
			}
			if within(y, x) {
				return y, true
			}
		}
	}
	return "", false
}

// within reports whether a path is another one, or below it.
func within(inner, outer string) bool {
	inner, outer = path.Clean("/"+inner), path.Clean("/"+outer)
	return outer == "/" || inner == outer || strings.HasPrefix(inner, outer+"/")
}
