// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/clientauth"
)

// block reads the options of a block within the directive, each once.
func block(d *caddyfile.Dispenser, name string, options map[string]func() error) error {
	return directive.EachOption(d, func(d *caddyfile.Dispenser) error {
		if read, ok := options[d.Val()]; ok {
			return read()
		}
		return directive.Unknown(d, name, sortedKeys(options)...)
	})
}

func (s *Server) unmarshalRefreshToken(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("refresh_token takes a block: write 'refresh_token { idle 14d }'")
	}
	at := directive.At(d.Token())
	r := new(RefreshToken)
	err := block(d, "refresh_token", map[string]func() error{
		"idle":     func() error { return positiveDuration(d, &r.Idle) },
		"absolute": func() error { return positiveDuration(d, &r.Absolute) },
		"rotate": func() error {
			rotate, err := directive.Bool(d)
			r.Rotate = &rotate
			return err
		},
		"grace": func() error {
			grace, err := directive.Duration(d)
			r.Grace = &grace
			if err == nil && time.Duration(grace) > maxGrace {
				err = d.Errf("grace is %s; it is 0s to %s", time.Duration(grace), maxGrace)
			}
			return err
		},
	})
	if err != nil {
		return err
	}
	s.RefreshToken = r
	return wrap(at, r.check())
}

// positiveDuration reads a duration of at least a second.
func positiveDuration(d *caddyfile.Dispenser, field *caddy.Duration) (err error) {
	option := d.Val()
	if *field, err = directive.Duration(d); err == nil && time.Duration(*field) < time.Second {
		err = d.Errf("%s is %s; it lasts at least 1s", option, time.Duration(*field))
	}
	return err
}

func (s *Server) unmarshalLogin(d *caddyfile.Dispenser) error {
	at := directive.At(d.Token())
	l := new(Login)
	if !d.NextArg() {
		return d.Err("login has no address: write 'login https://<your application> { secret <hash> }'")
	}
	if l.URL = d.Val(); d.NextArg() {
		return d.Errf("login takes one address, got %q too", d.Val())
	}
	err := block(d, "login", map[string]func() error{
		"secret": func() error {
			first, second, err := secretsOf(d)
			l.Secrets = []string{first}
			if second != "" {
				l.Secrets = append(l.Secrets, second)
			}
			return err
		},
		"allow": func() (err error) {
			l.Allow, err = checked(d, func(text string) error { _, err := parsePrefix(text); return err })
			return err
		},
		"challenge_ttl": func() error { return positiveDuration(d, &l.ChallengeTTL) },
	})
	if err != nil {
		return err
	}
	s.Login = l
	return wrap(at, l.check())
}

func (s *Server) unmarshalConsentPage(d *caddyfile.Dispenser) error {
	s.ConsentPage = new(ConsentPage)
	if d.NextArg() {
		s.ConsentPage.Template = d.Val()
		if err := directive.CheckFile(d, "consent_page", d.Val()); err != nil {
			return err
		}
	}
	if d.NextArg() {
		return d.Errf("consent_page takes one template file, got %q too", d.Val())
	}
	return nil
}

func (s *Server) unmarshalRegistration(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("registration takes a block: write 'registration { token <hash> }', or 'registration { open }'")
	}
	r := new(Registration)
	err := block(d, "registration", map[string]func() error{
		"token": func() (err error) {
			r.Tokens, err = checked(d, checkHash)
			return err
		},
		"open": func() error {
			r.Open = true
			if d.NextArg() {
				return d.Errf("open takes no value, got %q", d.Val())
			}
			return nil
		},
		"redirect_hosts": func() (err error) { r.RedirectHosts, err = checked(d, checkHostPattern); return err },
		"scopes":         func() (err error) { r.Scopes, err = directive.Strings(d); return err },
		"unused":         func() error { return positiveDuration(d, &r.Unused) },
		"max":            func() error { return directive.Set(d, &r.Max, directive.Positive) },
	})
	s.Registration = r
	return err
}

func (s *Server) unmarshalLimit(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("limit takes a block: write 'limit { client 60/m }'")
	}
	l := new(Limit)
	rate := func(field *string) func() error {
		return func() (err error) {
			if *field, err = directive.String(d); err != nil {
				return err
			}
			_, err = parseRate(*field)
			return wrap(d, err)
		}
	}
	s.Limit = l
	return block(d, "limit", map[string]func() error{"client": rate(&l.Client), "address": rate(&l.Address)})
}

func sortedKeys(options map[string]func() error) []string {
	return slices.Sorted(maps.Keys(options))
}

// checkHash says what to write instead of a secret, and never what was written.
func checkHash(text string) error {
	if directive.HasPlaceholder(text) {
		return nil
	}
	_, err := clientauth.Parse(text)
	return err
}

// wrap adds file and line to an error, if there is one.
func wrap(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}
