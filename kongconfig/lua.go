// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Gluu's plugins have expressions in Lua. Those that people write are constants,
// paths into a token, tables of these, and calls that read the request:
//
//	introspect_data["client_id"]
//	{id_token = id_token, name = userinfo.name, path = request.get_path()}
//
// They are read here and written in CEL. Other Lua is refused.

// luaReader reads one expression.
type luaReader struct {
	rest      string
	variables []string
	depth     int
}

// luaToCEL turns an expression over these variables into CEL. The error goes on
// from the quoted expression: "is Lua that ...".
func luaToCEL(text string, variables []string) (string, error) {
	r := &luaReader{rest: text, variables: variables}
	expression, err := r.expression(false)
	if err == nil && strings.TrimSpace(r.rest) != "" {
		err = r.beyond()
	}
	return expression, err
}

func (r *luaReader) beyond() error {
	return fmt.Errorf("is Lua that goes beyond constants, paths and tables: write it as one of these, for example %s.client_id, or leave it out and set the header in the Caddyfile", r.variables[0])
}

var (
	luaNumber = regexp.MustCompile(`^-?\d+(?:\.\d+)?\b`)
	luaString = regexp.MustCompile(`^(?:"[^"\\\n]*"|'[^'\\\n]*')`)
	luaName   = regexp.MustCompile(`^[A-Za-z_]\w*`)
	plainName = regexp.MustCompile(`^[A-Za-z_]\w*$`)
	luaCall   = regexp.MustCompile(`^\.(get_\w+)\s*\(\s*((?:"[^"\\\n]*"|'[^'\\\n]*')?)\s*\)`)
	luaMember = regexp.MustCompile(`^(?:\s*\.\s*([A-Za-z_]\w*)|\s*\[\s*("[^"\\\n]*"|'[^'\\\n]*')\s*\])`)
	luaKey    = regexp.MustCompile(`^(?:([A-Za-z_]\w*)|\[\s*("[^"\\\n]*"|'[^'\\\n]*')\s*\])\s*=`)
)

// take returns what a pattern finds at the beginning of the rest, nil if nothing.
func (r *luaReader) take(pattern *regexp.Regexp) []string {
	found := pattern.FindStringSubmatch(r.rest)
	if found != nil {
		r.rest = r.rest[len(found[0]):]
	}
	return found
}

// expression reads a constant, a path, a call or a table. In a table a path that
// leads nowhere leaves its member out, as nil does in Lua.
func (r *luaReader) expression(optional bool) (string, error) {
	r.rest = strings.TrimLeft(r.rest, " \t\r\n")
	if constant := r.take(luaNumber); constant != nil {
		return r.number(constant[0])
	}
	if constant := r.take(luaString); constant != nil {
		return strconv.Quote(unquoted(constant[0])), nil
	}
	if strings.HasPrefix(r.rest, "{") {
		return r.table()
	}
	name := r.take(luaName)
	switch {
	case name == nil:
		return "", r.beyond()
	case name[0] == "true" || name[0] == "false":
		return name[0], nil
	case !slices.Contains(r.variables, name[0]):
		if r.members(false); strings.HasPrefix(strings.TrimLeft(r.rest, " "), "(") {
			return "", r.beyond()
		}
		return "", fmt.Errorf("begins with %s, which is not known here: write %s", name[0], either(r.variables))
	case name[0] == "request":
		return r.call(optional)
	}
	return name[0] + r.members(optional), nil
}

// number is a decimal number in CEL, which has integers of 64 bits where Lua
// knows floating-point numbers alone.
func (r *luaReader) number(decimal string) (string, error) {
	if integer, err := strconv.ParseInt(decimal, 10, 64); err == nil {
		return strconv.FormatInt(integer, 10), nil
	}
	if _, err := strconv.ParseFloat(decimal, 64); err != nil {
		return "", r.beyond()
	}
	if !strings.Contains(decimal, ".") {
		decimal += ".0"
	}
	return decimal, nil
}

// members reads the rest of a path.
func (r *luaReader) members(optional bool) string {
	var path strings.Builder
	for {
		member := r.take(luaMember)
		if member == nil {
			return path.String()
		}
		path.WriteString(selected(memberName(member), optional))
	}
}

// memberName is the name that luaMember or luaKey has found.
func memberName(found []string) string {
	if found[1] != "" {
		return found[1]
	}
	return unquoted(found[2])
}

// reservedInCEL cannot be written behind a dot there.
var reservedInCEL = []string{"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while"}

// selected is a member in CEL.
func selected(name string, optional bool) string {
	mark := ""
	if optional {
		mark = "?"
	}
	if plainName.MatchString(name) && !slices.Contains(reservedInCEL, name) {
		return "." + mark + name
	}
	return "[" + mark + strconv.Quote(name) + "]"
}

// call reads a function of Kong's that says something of the request.
func (r *luaReader) call(optional bool) (string, error) {
	call := r.take(luaCall)
	const known = "write request.get_method(), request.get_path(), request.get_headers() or request.get_header('<name>')"
	if call == nil {
		return "", fmt.Errorf("has request without a call: %s", known)
	}
	argument := unquoted(call[2])
	switch {
	case call[1] == "get_method" && call[2] == "":
		return "request.method", nil
	case call[1] == "get_path" && call[2] == "":
		return "request.path", nil
	case call[1] == "get_headers" && call[2] == "":
		header := r.take(luaMember)
		if header == nil {
			return "request.headers", nil
		}
		return "request.headers" + selected(fieldName(memberName(header)), optional) + r.members(optional), nil
	case call[1] == "get_header" && argument != "":
		return "request.headers" + selected(fieldName(argument), optional), nil
	}
	return "", fmt.Errorf("calls request.%s, which is not kept: %s", call[1], known)
}

// fieldName is a header as the expressions of this gateway know it. Kong finds it in
// any case, and with underscores for hyphens: a path in Lua has no hyphens.
func fieldName(header string) string {
	return strings.ReplaceAll(strings.ToLower(header), "_", "-")
}

// table reads {name = value, ["other-name"] = value}.
func (r *luaReader) table() (string, error) {
	if r.depth++; r.depth > 16 {
		return "", r.beyond()
	}
	defer func() { r.depth-- }()
	r.rest = r.rest[1:]
	var members []string
	for {
		r.rest = strings.TrimLeft(r.rest, " \t\r\n")
		if rest, ended := strings.CutPrefix(r.rest, "}"); ended {
			r.rest = rest
			return "{" + strings.Join(members, ", ") + "}", nil
		}
		member, err := r.tableMember()
		if err != nil {
			return "", err
		}
		members = append(members, member)
		r.rest = strings.TrimLeft(r.rest, " \t\r\n")
		if !strings.HasPrefix(r.rest, "}") && !strings.HasPrefix(r.rest, ",") && !strings.HasPrefix(r.rest, ";") {
			return "", r.beyond()
		}
		r.rest = strings.TrimLeft(r.rest, ",;")
	}
}

func (r *luaReader) tableMember() (string, error) {
	key := r.take(luaKey)
	if key == nil || strings.HasPrefix(r.rest, "=") {
		return "", r.beyond()
	}
	value, err := r.expression(true)
	mark := ""
	if strings.Contains(value, "?") && !strings.HasPrefix(value, "{") && !strings.HasPrefix(value, `"`) {
		mark = "?" // the value is optional
	}
	return mark + strconv.Quote(memberName(key)) + ": " + value, err
}

// unquoted takes the quotes off a string of Lua, which has no escapes here.
func unquoted(text string) string {
	if len(text) < 2 {
		return ""
	}
	return text[1 : len(text)-1]
}
