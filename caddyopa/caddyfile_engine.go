// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"errors"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// UnmarshalCaddyfile reads the block of an engine, whose name has been read. Syntax:
//
//	opa [<name>] {
//		policy <file|pattern>... [watch]
//		bundle <name> <url> {
//			key <file>
//			token <secret>
//			client_cert <certificate file> <key file>
//			poll <shortest> <longest>
//			long_poll <duration>
//		}
//		config <file>
//		capabilities strict|all
//		allow_net <host>...
//		max_stale <duration>
//		persist on|off
//	}
//
// Names of files are relative to the folder of the Caddyfile. The files of `policy` are
// compiled, so that an error in them names their line.
func (e *Engine) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start := directive.At(d.Token())
	var policy *caddyfile.Dispenser
	var once directive.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d, "policy", "bundle", "allow_net"); err != nil {
			return err
		}
		if d.Val() == "policy" {
			policy = directive.At(d.Token())
		}
		if err := e.unmarshalOption(d); err != nil {
			return err
		}
	}
	if err := e.check(); err != nil {
		return start.WrapErr(err)
	}
	if policy == nil {
		return nil
	}
	return directive.Located(policy, e.compile())
}

func (e *Engine) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "policy":
		err = e.unmarshalPolicy(d)
	case "bundle":
		err = e.unmarshalBundle(d)
	case "config":
		err = setFile(d, "config", &e.OPAConfig)
	case "capabilities":
		if err = directive.SetString(d, &e.Capabilities); err == nil && e.Capabilities != opaengine.Strict && e.Capabilities != opaengine.All {
			err = d.Errf("capabilities is strict or all, not %q", e.Capabilities)
		}
	case "allow_net":
		err = directive.AddStrings(d, &e.AllowNet)
	case "max_stale":
		if e.MaxStale, err = directive.Duration(d); err == nil && e.MaxStale == 0 {
			err = d.Errf("max_stale cannot be 0: leave it out for ever")
		}
	case "persist":
		var persist bool
		persist, err = directive.Bool(d)
		e.Persist = &persist
	default:
		err = directive.Unknown(d, "opa", "policy", "bundle", "config", "capabilities", "allow_net", "max_stale", "persist")
	}
	return err
}

func (e *Engine) unmarshalPolicy(d *caddyfile.Dispenser) error {
	files, err := directive.Strings(d)
	if err != nil {
		return err
	}
	if last := len(files) - 1; files[last] == "watch" {
		e.Watch, files = true, files[:last]
	}
	if len(files) == 0 {
		return d.Errf("policy names no file: write 'policy <file>... watch'")
	}
	for _, name := range files {
		if name, err = directive.Beside(d, name); err != nil {
			return err
		}
		e.Policy = append(e.Policy, name)
	}
	return nil
}

// setFile reads the name of a file that is there.
func setFile(d *caddyfile.Dispenser, option string, into *string) (err error) {
	if err = directive.SetString(d, into); err != nil {
		return err
	}
	if *into, err = directive.Beside(d, *into); err != nil {
		return err
	}
	return directive.CheckFile(d, option, *into)
}

func (e *Engine) unmarshalBundle(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("bundle takes a name and an address: write 'bundle <name> <url> { key <file> }'")
	}
	name := args[0]
	if e.Bundles[name] != nil {
		return d.Errf("there are two bundles named %q: give this one another name", name)
	}
	b := &BundleConfig{URL: args[1]}
	start := directive.At(d.Token())
	if err := directive.EachOption(d, b.unmarshalOption); err != nil {
		return err
	}
	if err := b.check(); err != nil {
		return start.Errf("bundle %s: %w", name, err)
	}
	if e.Bundles == nil {
		e.Bundles = map[string]*BundleConfig{}
	}
	e.Bundles[name] = b
	return nil
}

func (b *BundleConfig) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "key":
		err = setFile(d, "key", &b.Key)
	case "token":
		err = directive.SetString(d, &b.Token)
	case "client_cert":
		b.ClientCertificate, b.ClientCertificateKey, err = certificateFiles(d)
	case "poll":
		err = b.unmarshalPoll(d)
	case "long_poll":
		if b.LongPoll, err = directive.Duration(d); err == nil && time.Duration(b.LongPoll) < time.Second {
			err = d.Errf("long_poll is a second at least, such as 45s")
		}
	default:
		err = directive.Unknown(d, "bundle", "key", "token", "client_cert", "poll", "long_poll")
	}
	return err
}

func (b *BundleConfig) unmarshalPoll(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("poll takes the shortest and the longest pause: write 'poll 30s 60s'")
	}
	shortest, err1 := parseDuration(args[0])
	longest, err2 := parseDuration(args[1])
	if errors.Join(err1, err2) != nil || shortest < minPoll || longest < shortest {
		return d.Errf("poll takes two durations from %s on, the shorter one first, not %q and %q", minPoll, args[0], args[1])
	}
	b.MinPoll, b.MaxPoll = durationOf(shortest), durationOf(longest)
	return nil
}

func parseDuration(text string) (time.Duration, error) { return caddy.ParseDuration(text) }

func durationOf(d time.Duration) caddy.Duration { return caddy.Duration(d) }

// compile compiles the files, if their names are known already.
func (e *Engine) compile() error {
	if slices.ContainsFunc(e.Policy, directive.HasPlaceholder) {
		return nil
	}
	_, err := opaengine.New(opaengine.Settings{Files: e.Policy, Capabilities: e.Capabilities, Hosts: e.AllowNet})
	return err
}
