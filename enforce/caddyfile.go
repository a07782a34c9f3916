// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// UnmarshalOption reads the current subdirective if it is one that enforcing
// handlers share, and reports whether it is. Syntax:
//
//	id <name>
//	deny_by_default true|false
//	ambiguous_paths reject|allow
//	encoded_slashes reject|keep
//	override_headers strip|pass
//	dry_run [true|false]
//	log_grants [true|false]
//
// The handler must check for duplicates, because it has options of its own.
func (c *Config) UnmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "id":
		return true, directive.SetID(d, &c.ID)
	case "deny_by_default":
		deny, err := directive.Bool(d)
		c.DenyByDefault = &deny
		return true, err
	case "ambiguous_paths":
		return true, c.unmarshalChecked(d, &c.AmbiguousPaths)
	case "encoded_slashes":
		return true, c.unmarshalChecked(d, &c.EncodedSlashes)
	case "override_headers":
		return true, c.unmarshalChecked(d, &c.OverrideHeaders)
	case "dry_run":
		c.DryRun, err = directive.Flag(d)
		return true, err
	case "log_grants":
		c.LogGrants, err = directive.Flag(d)
		return true, err
	}
	return false, nil
}

// unmarshalChecked reads a value and checks it, so that the error names its line.
func (c *Config) unmarshalChecked(d *caddyfile.Dispenser, to *string) error {
	if err := directive.SetString(d, to); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Rules collects the rules of a Caddyfile block with their positions, so that
// errors name the line.
type Rules struct {
	// Options are the options for compiling the rules.
	Options scopeexpr.Options

	document scopeexpr.Document
	places   []place // of document's elements

	openapi        *OpenAPI
	openapiAt      caddyfile.Token
	overrides      scopeexpr.Document
	overridePlaces []place
}

// place is the position of a path and its conditions.
type place struct {
	path       caddyfile.Token
	conditions []caddyfile.Token // none for an element of a JSON document
}

// UnmarshalPath reads a block of rules. Syntax:
//
//	path <pattern> {
//		<method>... scope <expression> [{
//			acr <value>...
//			max_age <duration>
//		}]
//		<method>... public
//		<method>... authenticated [{
//			acr <value>...
//			max_age <duration>
//		}]
//	}
//
// The method `?` is any method that the path does not name. For UMA the block of a
// condition may also have `resource_id <id>` and `resource_name <name>`, and its
// requirement may be `permitted`.
func (r *Rules) UnmarshalPath(d *caddyfile.Dispenser) error {
	rule, at, err := r.unmarshalPath(d)
	if err != nil {
		return err
	}
	r.document, r.places = append(r.document, rule), append(r.places, at)
	return nil
}

func (r *Rules) unmarshalPath(d *caddyfile.Dispenser) (rule scopeexpr.PathRule, at place, err error) {
	args := d.RemainingArgsAsTokens()
	if len(args) != 1 {
		return rule, at, d.Errf("path takes exactly one pattern and a block of rules: write 'path /users/?/todos { GET scope <expression> }'")
	}
	rule, at = scopeexpr.PathRule{Path: args[0].Text}, place{path: args[0]}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		at.conditions = append(at.conditions, d.Token())
		condition, err := r.unmarshalCondition(d)
		if err != nil {
			return rule, at, err
		}
		rule.Conditions = append(rule.Conditions, condition)
	}
	if len(rule.Conditions) == 0 {
		return rule, at, directive.At(at.path).Errf("path %q has no rules: write 'GET scope <expression>' on its own line inside the block", rule.Path)
	}
	return rule, at, nil
}

func (r *Rules) unmarshalCondition(d *caddyfile.Dispenser) (condition scopeexpr.Condition, err error) {
	line := append([]caddyfile.Token{d.Token()}, d.RemainingArgsAsTokens()...)
	keyword := slices.IndexFunc(line, isKeyword)
	if keyword < 0 || line[keyword].Text == "scope" && keyword == len(line)-1 {
		return condition, d.Errf("a rule lists methods, then what they require: write '%s scope <expression>', '%[1]s public' or '%[1]s authenticated'", line[0].Text)
	}
	if keyword == 0 {
		return condition, d.Errf("a rule starts with its methods: write 'GET scope ...', or '? scope ...' for any method")
	}
	for _, method := range line[:keyword] {
		if strings.ContainsAny(method.Text, ",|") {
			return condition, d.Errf("%q is not a method: separate methods by spaces, such as 'GET POST scope ...'", method.Text)
		}
		condition.HTTPMethods = append(condition.HTTPMethods, method.Text)
	}
	if err := r.unmarshalRequirement(d, &condition, line[keyword:]); err != nil {
		return condition, err
	}
	var once directive.Once
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d, "acr"); err != nil {
			return condition, err
		}
		if err := r.unmarshalConditionOption(d, &condition); err != nil {
			return condition, err
		}
	}
	return condition, nil
}

// isKeyword reports whether a word of a rule ends its methods.
func isKeyword(t caddyfile.Token) bool {
	return !t.Quoted() && slices.Contains([]string{"scope", scopeexpr.Public, scopeexpr.Authenticated, scopeexpr.Permitted}, t.Text)
}

// unmarshalRequirement reads what follows the methods of a rule.
func (r *Rules) unmarshalRequirement(d *caddyfile.Dispenser, condition *scopeexpr.Condition, words []caddyfile.Token) error {
	if words[0].Text != "scope" {
		if len(words) > 1 {
			return d.Errf("%q takes no scopes, got %q: write 'scope <expression>' to require scopes", words[0].Text, words[1].Text)
		}
		condition.Access = words[0].Text
		return nil
	}
	text, err := expressionText(words[1:])
	if err == nil {
		condition.ScopeExpression, err = scopeexpr.ParseShort(text)
	}
	if err != nil {
		return directive.At(words[0]).Errf("scope %q: %s", text, describe(err))
	}
	return nil
}

func (r *Rules) unmarshalConditionOption(d *caddyfile.Dispenser, condition *scopeexpr.Condition) (err error) {
	switch name := d.Val(); {
	case name == "acr":
		err = directive.AddStrings(d, &condition.ACR)
	case name == "max_age":
		age, durationErr := directive.Duration(d)
		if err = durationErr; err == nil {
			if age := time.Duration(age); age < time.Second || age%time.Second != 0 {
				return d.Errf("max_age must be a whole number of seconds, at least one, such as 300s or 5m")
			}
			condition.MaxAge = int64(time.Duration(age) / time.Second)
		}
	case name == "resource_id" && r.Options.UMA:
		err = directive.SetString(d, &condition.ResourceID)
	case name == "resource_name" && r.Options.UMA:
		err = directive.SetString(d, &condition.ResourceName)
	case r.Options.UMA:
		return d.Errf("unknown rule option %q: the options are acr, max_age, resource_id and resource_name", name)
	default:
		return d.Errf("unknown rule option %q: the options are acr and max_age", name)
	}
	return err
}

// expressionText joins the arguments that Caddy split an expression into. Caddy
// removes quotes, which a scope with a parenthesis needs in the short syntax, so
// they are put back. A quoted argument with a space cannot be a scope; it is the
// whole expression.
func expressionText(args []caddyfile.Token) (string, error) {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = arg.Text
		if arg.Text == "" {
			return "", errors.New("a scope cannot be empty: write its name, or 'authenticated' for any token")
		}
		if arg.Quoted() && !strings.ContainsAny(arg.Text, " \t\r\n") {
			quoted, err := scopeexpr.QuoteScope(arg.Text)
			if err != nil {
				return arg.Text, err
			}
			words[i] = quoted
		}
	}
	return strings.Join(words, " "), nil
}

// UnmarshalDocument reads a subdirective with a document in JSON as its only
// argument, in backticks or as a heredoc.
func (r *Rules) UnmarshalDocument(d *caddyfile.Dispenser) error {
	name := d.Val()
	args := d.RemainingArgsAsTokens()
	if len(args) != 1 {
		return d.Errf("%s takes exactly one argument, a JSON document: write it in backticks or as a heredoc", name)
	}
	document, err := scopeexpr.ParseDocument([]byte(args[0].Text))
	if err == nil {
		_, err = document.Compile(r.Options)
	}
	if err != nil {
		return directive.At(lineWithin(args[0], err)).Errf("%s: %w", name, err)
	}
	r.document = append(r.document, document...)
	for range document {
		r.places = append(r.places, place{path: args[0]})
	}
	return nil
}

// lineWithin returns the token with the line of an error in its text.
func lineWithin(token caddyfile.Token, err error) caddyfile.Token {
	e, ok := errors.AsType[*scopeexpr.Error](err)
	if !ok || e.Line == 0 {
		return token
	}
	token = token.Clone()
	token.Line += e.Line - 1
	if token.NumLineBreaks() > strings.Count(token.Text, "\n") {
		token.Line++ // a heredoc starts on the line after its marker
	}
	return token
}

// Finish checks all rules, including those of a file ("" for none) and of an OpenAPI
// document, and returns the document of the rules in the Caddyfile, or nil if there are
// none. Call it at the end of the block. option is the name of the document in JSON.
func (r *Rules) Finish(d *caddyfile.Dispenser, option, file string) (json.RawMessage, RuleOptions, error) {
	var none RuleOptions
	if len(r.overrides) > 0 && r.openapi == nil {
		return nil, none, directive.At(r.overridePlaces[0].path).Errf("override replaces rules of an OpenAPI document: write openapi <file> too, or leave override out")
	}
	if len(r.document) == 0 && file == "" && r.openapi == nil {
		return nil, none, d.Errf("there are no rules: write 'path <pattern> { <method> scope <expression> }', %s, %s_file or openapi", option, option)
	}
	if len(r.document) > 0 {
		if _, err := r.document.Compile(r.Options); err != nil {
			return nil, none, r.explain(d, err)
		}
	}
	document, err := marshalRules(r.document)
	if err != nil {
		return nil, none, d.WrapErr(err)
	}
	if file != "" {
		if _, err := Compile(option, document, file, r.Options); err != nil {
			return nil, none, d.WrapErr(r.explainFile(option, file, err))
		}
	}
	if r.openapi == nil {
		return document, none, nil
	}
	options, err := r.finishOpenAPI(option, document, file)
	return document, options, err
}

func marshalRules(document scopeexpr.Document) (json.RawMessage, error) {
	if len(document) == 0 {
		return nil, nil
	}
	return json.Marshal(document)
}

// explain adds the line to an error about the rules.
func (r *Rules) explain(d *caddyfile.Dispenser, err error) error {
	e, ok := errors.AsType[*scopeexpr.Error](err)
	if !ok || len(e.Path) == 0 {
		return d.WrapErr(err)
	}
	i, ok := e.Path[0].(int)
	if !ok || i >= len(r.places) {
		return d.WrapErr(err)
	}
	token := r.places[i].path
	path := r.document[i].Path
	if first := r.first(path); first < i {
		at := r.places[first].path
		return directive.At(token).Errf("path %q is already at %s:%d: add the rules there", path, at.File, at.Line)
	}
	if len(e.Path) > 2 && e.Path[1] == "conditions" {
		if j, ok := e.Path[2].(int); ok && j < len(r.places[i].conditions) {
			token = r.places[i].conditions[j]
		}
	}
	return directive.At(token).Errf("path %q: %s", path, describe(err))
}

// explainFile explains a conflict between the rules of a file and those of the
// Caddyfile. Each set is valid by itself.
func (r *Rules) explainFile(option, file string, err error) error {
	e, ok := errors.AsType[*scopeexpr.Error](err)
	if !ok || len(e.Path) == 0 {
		return err
	}
	fromFile, readErr := readDocument(file, r.Options)
	i, ok := e.Path[0].(int)
	if i -= len(r.document); readErr != nil || !ok || i < 0 || i >= len(fromFile) {
		return err
	}
	path := fromFile[i].Path
	first := r.first(path)
	if first < 0 {
		return err
	}
	at := r.places[first].path
	return fmt.Errorf("%s_file: path %q of %q is already at %s:%d: keep one of the two", option, path, file, at.File, at.Line)
}

// first returns the index of the first rule with a path, or -1.
func (r *Rules) first(path string) int {
	return slices.IndexFunc(r.document, func(rule scopeexpr.PathRule) bool { return rule.Path == path })
}

// describe returns the reason and the hint of an error, without the position in a
// JSON document: the rules were written in a Caddyfile.
func describe(err error) string {
	e, ok := errors.AsType[*scopeexpr.Error](err)
	switch {
	case !ok:
		return err.Error()
	case e.Hint == "":
		return e.Reason
	}
	return e.Reason + ": " + e.Hint
}
