// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(someones{}) }

// someones stands for a module of another party: the type that it makes is not of a
// package of Caddy or the gateway.
type someones struct{}

func (someones) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.logging.encoders.filter.someones",
		New: func() caddy.Module { return struct{ caddy.Module }{someones{}} },
	}
}

// Of what is not known to be open, a person who may not edit the file sees the name.
func TestSec_S410_AViewShowsWhatIsKnown(t *testing.T) {
	for name, text := range map[string]string{
		"directive":                  "a.com {\n\tcredentials {\n\t\tcolour HUSH\n\t\tdeep {\n\t\t\tx HUSH\n\t\t}\n\t}\n\trespond shown\n}\n",
		"arguments":                  "a.com {\n\trate_limit HUSH \"HUSH\" `HUSH`\n\trespond shown\n}\n",
		"continued line":             "a.com {\n\trate_limit a \\\n\t\tHUSH\n\trespond shown\n}\n",
		"heredoc":                    "a.com {\n\tsomeones <<E\n\t\tHUSH\n\t\t}\n\t\tE\n\trespond shown\n}\n",
		"in a handle block":          "a.com {\n\thandle /x {\n\t\tsomeones HUSH\n\t\trespond shown\n\t}\n}\n",
		"in handle_response":         "a.com {\n\treverse_proxy x {\n\t\thandle_response {\n\t\t\tsomeones HUSH\n\t\t\trespond shown\n\t\t}\n\t}\n}\n",
		"site without braces":        "a.com\nsomeones {\n\tx HUSH\n}\nrespond shown\n",
		"addresses on two lines":     "a.com,\nb.com {\n\tsomeones HUSH\n\trespond shown\n}\n",
		"snippet":                    "(s) {\n\tmagic HUSH\n}\na.com {\n\timport s HUSH\n\trespond shown\n}\n",
		"import with a block":        "a.com {\n\timport s {\n\t\tx HUSH\n\t}\n\trespond shown\n}\n",
		"global option":              "{\n\tcrowdsec {\n\t\tapi_url HUSH\n\t}\n}\na.com {\n\trespond shown\n}\n",
		"DNS module":                 "{\n\tacme_dns someones HUSH\n}\na.com {\n\ttls {\n\t\tdns someones HUSH\n\t\tdns cloud {\n\t\t\tuser HUSH\n\t\t}\n\t}\n\trespond shown\n}\n",
		"storage module":             "{\n\tstorage someones {\n\t\tx HUSH\n\t}\n}\na.com {\n\trespond shown\n}\n",
		"a module within a setting":  "a.com {\n\tlog {\n\t\tformat filter {\n\t\t\tfield someones HUSH\n\t\t}\n\t}\n\trespond shown\n}\n",
		"matcher":                    "a.com {\n\t@a someones HUSH\n\t@b {\n\t\tsomeones HUSH\n\t\tnot someones HUSH\n\t\tnot {\n\t\t\tsomeones HUSH\n\t\t}\n\t}\n\trespond shown\n}\n",
		"comment":                    "# HUSH\na.com { # HUSH\n\t# someones HUSH\n\trespond shown # HUSH\n}\n",
		"known secrets":              "a.com {\n\tbasic_auth {\n\t\tann $2a$14$HUSHHUSHHUSHHUSHHUSH\n\t}\n\treverse_proxy x {\n\t\theader_up Authorization \"Bearer HUSH\"\n\t}\n\tgluu_oauth_auth {\n\t\tclient_secret HUSH\n\t}\n\trespond shown\n}\n",
		"placeholder with a default": "a.com {\n\tgluu_oauth_auth {\n\t\tclient_secret {$S:HUSH}\n\t}\n\trespond shown\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := View([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(got, "HUSH") || !strings.Contains(got, "respond shown\n") && !strings.Contains(got, "respond \"shown\"\n") {
				t.Errorf("got\n%s", got)
			}
			if name != "comment" && !strings.Contains(got, Hidden) {
				t.Errorf("nothing is hidden in\n%s", got)
			}
		})
	}
	for name, text := range map[string]string{"a brace too few": "a.com {\n\tx {\n", "too many": "a.com {\n}\n}\n", "a heredoc without end": "a.com {\n\tx <<E\n\t\tHUSH\n}\n"} {
		if got, err := View([]byte(text)); err == nil || strings.Contains(err.Error(), "HUSH") {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

// What is known stays readable: as it is, but for the indentation.
func TestAViewShowsTheRest(t *testing.T) {
	const text = `{
	admin localhost:2019
	storage file_system /var/lib/caddy
	gluu {
		provider staff {
			issuer https://login.example.com/realms/a
			client_id gateway
			client_secret {env.SECRET}
		}
	}
}

api.example.com, *.example.com {
	@read {
		method GET HEAD
		not path /admin/*
	}
	@admins "path('/admin/*') && {method} == 'GET'"
	gluu_oauth_pep {
		deny_by_default true
		rule GET /todos/? {
			require "todos:read" or admin
		}
	}
	handle @read {
		reverse_proxy 127.0.0.1:9000 {
			transport http {
				dial_timeout 3s
			}
		}
	}
	log {
		output file /var/log/a.log
		format json
	}
	respond "two words" 200
}
`
	got, err := View([]byte(text))
	if want := strings.Replace(text, "}\n\napi", "}\napi", 1); err != nil || got != want {
		t.Errorf("got\n%s%v", got, err)
	}
}

// Names that Caddy gives away belong to others, so that the list is not to have one
// that is not Caddy's.
func TestDirectivesAreCaddys(t *testing.T) {
	for _, name := range directives {
		if name == "import" { // the parser has it
			continue
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is not a directive of Caddy: another module could be called so", name)
				}
			}()
			httpcaddyfile.RegisterHandlerDirective(name, func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) { return nil, nil })
		}()
	}
}
