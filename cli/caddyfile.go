// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// caddyfileSources finds the policies of a Caddyfile in the order of the file.
// Caddy's adapter validates the file, but its output has another order (sites with
// longer names first), and contains a policy twice if its site listens on two
// ports.
func caddyfileSources(label, name string, text []byte) ([]*source, error) {
	adapted, err := adapt(name, text)
	if err != nil {
		return nil, refusedError{err}
	}
	blocks, err := caddyfile.Parse(name, text)
	if err != nil {
		return nil, refusedError{err}
	}
	var sources []*source
	app := gluuApp(adapted)
	shorthands := httpcaddyfile.NewShorthandReplacer()
	for _, block := range blocks {
		for i := range block.Segments {
			shorthands.ApplyToSegment(&block.Segments[i])
			found, err := segmentSources(block.Segments[i], block.GetKeysText(), app)
			if err != nil {
				return nil, refusedError{err}
			}
			sources = append(sources, found...)
		}
	}
	if len(sources) == 0 {
		return handlers(label, adapted) // returns the error
	}
	return sources, nil
}

// adapt turns a Caddyfile into Caddy's JSON.
func adapt(name string, text []byte) ([]byte, error) {
	adapter := caddyconfig.GetAdapter("caddyfile")
	adapted, _, err := adapter.Adapt(text, map[string]any{"filename": name})
	return adapted, err
}

// segmentSources finds the policies in a directive of a site, which may be a PEP
// itself or contain some, as handle and route do.
func segmentSources(segment caddyfile.Segment, hosts []string, app json.RawMessage) ([]*source, error) {
	var sources []*source
	var before caddyfile.Token
	for d := caddyfile.NewDispenser(segment); d.Next(); before = d.Token() {
		name := d.Val()
		if !isPEP(name) || d.Line() == before.Line && d.File() == before.File {
			continue
		}
		config, err := unmarshal(name, d.NextSegment())
		if err != nil {
			return nil, err
		}
		if name == opaPEP {
			sources = append(sources, regoSource(config, app, hosts))
			continue
		}
		h := &pepHandler{Handler: name}
		if err := json.Unmarshal(config, h); err != nil {
			return nil, err
		}
		sources = append(sources, h.source(hosts))
	}
	return sources, nil
}

// unmarshal reads a directive with the module of its handler, and returns its JSON.
func unmarshal(name string, segment caddyfile.Segment) (json.RawMessage, error) {
	if len(segment) > 1 && (segment[1].Text == "*" || strings.HasPrefix(segment[1].Text, "/") || strings.HasPrefix(segment[1].Text, "@")) {
		segment = append(segment[:1:1], segment[2:]...) // a matcher
	}
	info, err := caddy.GetModule("http.handlers." + name)
	if err != nil {
		return nil, err
	}
	module, ok := info.New().(caddyfile.Unmarshaler)
	if !ok {
		return nil, fmt.Errorf("%s cannot be configured in a Caddyfile", name)
	}
	if err := module.UnmarshalCaddyfile(caddyfile.NewDispenser(segment)); err != nil {
		return nil, err
	}
	return json.Marshal(module)
}
