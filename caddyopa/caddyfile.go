// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	directive.RegisterHandler("gluu_opa_pep", parsePEP)
}

// parsePEP sets up gluu_opa_pep, and refuses an engine that the Caddyfile does not
// define.
func parsePEP(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := new(PEP)
	if err := p.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	if p.URL != "" || p.AuthZEN != "" {
		return p, nil
	}
	return p, introspect.References{Engine: &p.Engine}.Check(h)
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	gluu_opa_pep [<matcher>] [<engine>] {
//		url|opa_url <url>
//		authzen <url>
//		decision <package or rule>
//		token <secret>
//		client_cert <certificate file> <key file>
//		insecure_hosts <host>...
//		openapi <file> {
//			base_path <path>|servers|none
//			watch [true|false]
//		}
//		input gluu|kong|envoy
//		headers <name>...|all|none
//		body off|json|form|raw [<limit>]
//		forward_request_body true|false
//		body_overflow reject|omit
//		context <name> <text>
//		set_headers <name>...
//		redirect_origins <origin>...
//		timeout <duration>
//		cache <duration> [<size>]
//		decision_log off|refusals|all [<share>]
//		id <name>
//		deny_by_default true|false
//		ambiguous_paths reject|allow
//		encoded_slashes reject|keep
//		override_headers strip|pass
//		dry_run [true|false]
//		log_grants [true|false]
//	}
func (p *PEP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginNamed(d, "engine", &p.Engine)
	if err != nil {
		return err
	}
	var once directive.Once
	var address *caddyfile.Dispenser // of url or authzen: insecure_hosts may follow
	for d.NextBlock(0) {
		name := d.Val()
		if err := once.Check(d, "context"); err != nil {
			return err
		}
		if slices.Contains([]string{"url", "opa_url", "authzen"}, name) {
			address = directive.At(d.Token())
		}
		known, err := p.UnmarshalOption(d)
		if err == nil && !known {
			known, err = p.unmarshalOption(d)
		}
		if err == nil && !known {
			return directive.Unknown(d, start.Val(), options...)
		}
		if err == nil {
			err = directive.Located(d, p.checkAll(name))
		}
		if err != nil {
			return err
		}
	}
	if address != nil {
		start = address
	}
	return directive.Located(start, p.checkAll(""))
}

// checkAll checks what is known after an option, or at the end of the block.
func (p *PEP) checkAll(option string) error {
	switch option {
	case "url", "opa_url", "authzen", "insecure_hosts":
		return nil // they belong together
	case "":
		if err := cmp.Or(p.Config.checkOutside(), p.Config.checkUnused()); err != nil {
			return err
		}
	}
	for _, check := range []func() error{p.Config.checkInput, p.Config.checkBody, p.Config.checkHeaders, p.Config.checkTimes, p.Config.checkLog} {
		if err := check(); err != nil {
			return err
		}
	}
	if option == "" || option == "decision" {
		return p.Config.checkDecider()
	}
	return nil
}

// options are the subdirectives of the handler.
var options = []string{
	"url", "opa_url", "authzen", "decision", "token", "client_cert", "insecure_hosts", "openapi", "input", "headers", "body", "forward_request_body", "body_overflow",
	"context", "set_headers", "redirect_origins", "timeout", "cache", "decision_log",
	"id", "deny_by_default", "ambiguous_paths", "encoded_slashes", "override_headers", "dry_run", "log_grants",
}

func (p *PEP) unmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "url", "opa_url":
		err = directive.SetString(d, &p.URL)
	case "authzen":
		err = directive.SetString(d, &p.AuthZEN)
	case "decision":
		err = directive.SetString(d, &p.Decision)
	case "token":
		err = directive.SetString(d, &p.Token)
	case "client_cert":
		p.ClientCertificate, p.ClientCertificateKey, err = certificateFiles(d)
	case "insecure_hosts":
		err = directive.AddStrings(d, &p.InsecureHosts)
	case "openapi":
		p.OpenAPI, err = enforce.UnmarshalOperations(d)
	case "input":
		err = directive.SetString(d, &p.Input)
	case "headers":
		err = directive.AddStrings(d, &p.Config.Headers)
	case "body":
		err = p.unmarshalBody(d)
	case "forward_request_body":
		err = p.unmarshalForward(d)
	case "body_overflow":
		err = directive.SetString(d, &p.BodyOverflow)
	case "context":
		err = p.unmarshalContext(d)
	case "set_headers":
		err = directive.AddStrings(d, &p.SetHeaders)
	case "redirect_origins":
		err = directive.AddStrings(d, &p.RedirectOrigins)
	case "timeout":
		p.Timeout, err = directive.Duration(d)
		if err == nil && p.Timeout == 0 {
			err = d.Errf("timeout cannot be 0: no decision is made in no time")
		}
	case "cache":
		err = p.unmarshalCache(d)
	case "decision_log":
		err = p.unmarshalLog(d)
	default:
		return false, nil
	}
	return true, err
}

func certificateFiles(d *caddyfile.Dispenser) (certificate, key string, err error) {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return "", "", d.Errf("client_cert takes two files: write 'client_cert <certificate file> <key file>'")
	}
	for i := range args {
		if args[i], err = directive.Beside(d, args[i]); err != nil {
			return "", "", err
		}
		if err = directive.CheckFile(d, "client_cert", args[i]); err != nil {
			return "", "", err
		}
	}
	return args[0], args[1], nil
}

func (p *PEP) unmarshalBody(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 || p.Body != "" {
		return d.Errf("body takes a form and perhaps a limit, once: write 'body json 64KiB'")
	}
	if p.Body = args[0]; p.Body == "" {
		return d.Errf("body is off, json, form or raw, not %q", "")
	}
	if len(args) == 2 {
		limit, err := humanize.ParseBytes(args[1])
		if err != nil || limit < 1 || limit > maxBodyLimit {
			return d.Errf("the limit of body is a size of up to %d MiB, such as 64KiB, not %q", maxBodyLimit>>20, args[1])
		}
		p.BodyLimit = int64(limit)
	}
	return nil
}

// unmarshalForward reads the word of the system before for `body json`.
func (p *PEP) unmarshalForward(d *caddyfile.Dispenser) error {
	forward, err := directive.Bool(d)
	if err != nil {
		return err
	}
	if p.Body != "" {
		return d.Errf("forward_request_body and body say the same: keep body")
	}
	if p.Body = bodyOff; forward {
		p.Body = bodyJSON
	}
	return nil
}

func (p *PEP) unmarshalContext(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || args[0] == "" {
		return d.Errf("context takes a name and a text: write 'context tenant acme'")
	}
	if _, twice := p.Context[args[0]]; twice {
		return d.Errf("context %q is set twice: keep one of them", args[0])
	}
	if p.Context == nil {
		p.Context = map[string]string{}
	}
	p.Context[args[0]] = args[1]
	return nil
}

func (p *PEP) unmarshalCache(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("cache takes a duration and perhaps a number of decisions: write 'cache 10s' or 'cache 10s 10000'")
	}
	duration, err := parseDuration(args[0])
	if err != nil || duration <= 0 || duration > maxCache {
		return d.Errf("cache is a duration of up to %s, not %q", maxCache, args[0])
	}
	if p.Cache = durationOf(duration); len(args) == 2 {
		if p.CacheSize, err = strconv.Atoi(args[1]); err != nil || p.CacheSize < 1 {
			return d.Errf("the size of cache is a number of decisions of at least 1, not %q", args[1])
		}
	}
	return nil
}

func (p *PEP) unmarshalLog(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 || args[0] == "" {
		return d.Errf("decision_log takes off, refusals or all, and perhaps a share: write 'decision_log all 0.1'")
	}
	if p.DecisionLog = args[0]; len(args) == 2 {
		share, err := strconv.ParseFloat(args[1], 64)
		if err != nil || !(share > 0 && share <= 1) {
			return d.Errf("the share of decision_log is above 0 and at most 1, not %q", args[1])
		}
		p.DecisionLogShare = share
	}
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*PEP)(nil)
	_ caddyfile.Unmarshaler = (*Engine)(nil)
)
