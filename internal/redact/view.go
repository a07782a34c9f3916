// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// View returns a Caddyfile for people who may not edit it. It is written anew from its
// words, of which only those are shown that are known not to be secret: of directives,
// options and modules that are neither Caddy's nor the gateway's only the name is, and
// comments are left out.
//
//	rate_limit (hidden)
func View(text []byte) (string, error) {
	tokens, err := caddyfile.Tokenize(text, "Caddyfile")
	if err != nil {
		return "", errors.New("the file is not a Caddyfile")
	}
	v := &viewer{tokens: tokens}
	v.top()
	if v.broken {
		return "", errors.New("the file is not a Caddyfile: its braces do not match")
	}
	return v.b.String(), nil
}

// viewer writes statements: the words of a line, and a block if the last one opens it.
type viewer struct {
	tokens []caddyfile.Token
	at     int
	depth  int
	broken bool
	b      strings.Builder
}

// next returns the words of the next statement.
func (v *viewer) next() (words []caddyfile.Token, opens bool) {
	for v.at < len(v.tokens) {
		token := v.tokens[v.at]
		if n := len(words); n > 0 && words[n-1].Line+words[n-1].NumLineBreaks() < token.Line {
			break
		}
		if isBrace(token, "}") && len(words) > 0 {
			break // it does not belong here, so that it ends what is around
		}
		v.at++
		words = append(words, token)
		if isBrace(token, "}") {
			break
		}
		if isBrace(token, "{") {
			return words[:len(words)-1], true
		}
	}
	return words, false
}

func isBrace(t caddyfile.Token, brace string) bool { return t.Text == brace && !t.Quoted() }

// place says what the statements of a block are.
type place int

const (
	inSite     place = iota // directives, and what a snippet may have
	inOptions               // global options
	inMatcher               // matchers by their names
	inSettings              // what a directive or an option of Caddy takes
	inOurs                  // the same of the gateway
)

// top writes what a file has outside of blocks.
func (v *viewer) top() {
	isFirst, inOneSite := true, false
	for v.at < len(v.tokens) {
		words, opens := v.next()
		switch {
		case len(words) == 1 && isBrace(words[0], "}"):
			v.broken = true
			return
		case inOneSite:
			v.directive(words, opens)
		case opens && len(words) == 0 && isFirst:
			v.open(nil)
			v.block(inOptions)
		case opens:
			v.open(words)
			v.block(inSite)
		case len(words) > 0 && words[0].Text == "import":
			v.directive(words, false)
		default: // addresses; without a block what follows is their site
			v.line(words)
			inOneSite = !strings.HasSuffix(words[len(words)-1].Text, ",")
		}
		isFirst = false
	}
}

// block writes the statements of a block, and its end.
func (v *viewer) block(where place) {
	v.depth++
	for v.at < len(v.tokens) {
		words, opens := v.next()
		if len(words) == 1 && isBrace(words[0], "}") && !opens {
			v.depth--
			v.write("}")
			return
		}
		switch {
		case len(words) == 0: // a block without a name
			v.hidden(words, opens)
		case where == inSite:
			v.directive(words, opens)
		case where == inOptions:
			v.option(words, opens)
		case where == inMatcher:
			v.matcher(words, opens)
		default:
			v.setting(words, opens, where)
		}
	}
	v.broken = true
}

func (v *viewer) directive(words []caddyfile.Token, opens bool) {
	name := words[0].Text
	switch {
	case strings.HasPrefix(name, "@") && len(words) == 1 && opens:
		v.open(words)
		v.block(inMatcher)
	case strings.HasPrefix(name, "@") && len(words) > 1:
		isCEL := len(words) == 2 && words[1].Quoted()
		v.known(words, opens, isCEL || isOurModule(words[1].Text), inMatcher)
	case name == "import" && len(words) > 1:
		v.imported(words, opens)
	case slices.Contains(containers, name):
		v.known(words, opens, true, inSite)
	case strings.HasPrefix(name, "gluu_"):
		v.known(words, opens, true, inOurs)
	default:
		v.known(words, opens, slices.Contains(directives, name), inSettings)
	}
}

// imported writes what is imported. The arguments are for what is not known here.
func (v *viewer) imported(words []caddyfile.Token, opens bool) {
	text := shownWords(words[:2])
	if len(words) > 2 || opens {
		text += " " + Hidden
	}
	v.write(text)
	v.skip(opens)
}

func (v *viewer) option(words []caddyfile.Token, opens bool) {
	name := words[0].Text
	switch {
	case name == "gluu":
		v.known(words, opens, true, inOurs)
	case slices.Contains(namesModule, name):
		v.setting(words, opens, inSettings)
	default:
		v.known(words, opens, slices.Contains(options, name), inSettings)
	}
}

func (v *viewer) matcher(words []caddyfile.Token, opens bool) {
	name := words[0].Text
	if name == "not" && len(words) > 1 {
		v.known(words, opens, isOurModule(words[1].Text), inMatcher)
		return
	}
	where := inSettings
	if name == "not" {
		where = inMatcher
	}
	v.known(words, opens, isOurModule(name), where)
}

// setting writes a line of a directive or an option. It is not known if it names a
// module of someone else.
func (v *viewer) setting(words []caddyfile.Token, opens bool, where place) {
	name := words[0].Text
	switch {
	case slices.Contains(containers, name):
		v.known(words, opens, true, inSite)
	case where == inSettings && slices.Contains(namesModule, name):
		v.known(words, opens, len(words) > 1 && isOurModule(words[1].Text), inSettings)
	default:
		v.known(words, opens, !slices.ContainsFunc(words, isOthersModule), where)
	}
}

func isOthersModule(word caddyfile.Token) bool {
	ours, isModule := modules()[word.Text]
	return isModule && !ours
}

// known writes a statement that is known, and else no more than its name.
func (v *viewer) known(words []caddyfile.Token, opens, isKnown bool, inside place) {
	switch {
	case !isKnown:
		v.hidden(words, opens)
	case opens:
		v.open(words)
		v.block(inside)
	default:
		v.line(words)
	}
}

// hidden writes the name of a statement alone.
func (v *viewer) hidden(words []caddyfile.Token, opens bool) {
	if len(words) > 0 {
		text := shownWord(words[0], new(bool))
		if len(words) > 1 || opens {
			text += " " + Hidden
		}
		v.write(text)
	}
	v.skip(opens)
}

// skip leaves a block out.
func (v *viewer) skip(opens bool) {
	for depth := 1; opens && depth > 0; {
		if v.at >= len(v.tokens) {
			v.broken = true
			return
		}
		words, inner := v.next()
		if inner {
			depth++
		} else if len(words) == 1 && isBrace(words[0], "}") {
			depth--
		}
	}
}

func (v *viewer) open(words []caddyfile.Token) {
	if len(words) == 0 {
		v.write("{")
		return
	}
	v.write(shownWords(words) + " {")
}

func (v *viewer) line(words []caddyfile.Token) {
	if len(words) > 0 {
		v.write(shownWords(words))
	}
}

func (v *viewer) write(text string) {
	v.b.WriteString(strings.Repeat("\t", v.depth) + text + "\n")
}

// shownWords writes the words of a line, without its secrets.
func shownWords(list []caddyfile.Token) string {
	isSecret := false
	texts := make([]string, len(list))
	for i, token := range list {
		texts[i] = shownWord(token, &isSecret)
	}
	return strings.Join(texts, " ")
}

func shownWord(token caddyfile.Token, isSecret *bool) string {
	found := words{}
	found.note(token.Text, "", isSecret)
	text := token.Text
	for secret := range found {
		text = strings.ReplaceAll(text, secret, Hidden)
	}
	switch {
	case text == Hidden, text != "" && !strings.ContainsAny(text, " \t\r\n\"`{}#") && !token.Quoted():
		return text
	case strings.Contains(text, `"`) && !strings.Contains(text, "`"):
		return "`" + text + "`"
	case isPlaceholderWord(text) && !token.Quoted():
		return text
	}
	return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`
}

// isPlaceholderWord reports whether a word with braces needs no quotes.
func isPlaceholderWord(text string) bool {
	return strings.ContainsAny(text, "{}") && text != "{" && text != "}" && !strings.ContainsAny(text, " \t\r\n\"`#")
}

func isOurModule(name string) bool { return modules()[name] }

// containers are directives, and settings of them, whose blocks have directives.
var containers = []string{"handle", "handle_path", "handle_errors", "handle_response", "route"}

// namesModule are settings and options of Caddy whose first argument names a module.
var namesModule = []string{
	"acme_dns", "cert_issuer", "dns", "dynamic", "format", "get_certificate", "issuer", "lb_policy", "output", "permission", "storage",
	"transport", "trust_pool", "verifier",
}

// directives are Caddy's. No other module can have their names.
var directives = []string{
	"abort", "acme_server", "basic_auth", "basicauth", "bind", "copy_response", "copy_response_headers", "encode", "error", "file_server",
	"forward_auth", "fs", "handle", "handle_errors", "handle_path", "header", "import", "intercept", "invoke", "log", "log_append", "log_level",
	"log_name", "log_skip", "map", "method", "metrics", "php_fastcgi", "push", "redir", "request_body", "request_header", "respond",
	"reverse_proxy", "rewrite", "root", "route", "skip_log", "templates", "timeouts", "tls", "tracing", "try_files", "uri", "vars",
}

// options are Caddy's global ones. Those that name a module are not among them.
var options = []string{
	"acme_ca", "acme_ca_root", "acme_eab", "admin", "auto_https", "cert_lifetime", "debug", "default_bind", "default_sni", "ech", "email",
	"fallback_sni", "grace_period", "http_port", "https_port", "import", "key_type", "local_certs", "log", "metrics", "ocsp_interval",
	"ocsp_stapling", "on_demand_tls", "order", "persist_config", "pki", "preferred_chains", "renew_interval", "renewal_window_ratio", "servers",
	"shutdown_delay", "skip_install_trust", "storage_check", "storage_clean_interval", "tls_automate_names", "tls_resolvers",
}
