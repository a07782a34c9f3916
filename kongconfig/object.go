// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// object reads the fields of one entity, or of an object within it. Wrong
// types are reported, and so is every field that was never read.
type object struct {
	p      *problems
	entity string // as messages call it: service "todos"
	path   string // of the object within the entity: "config."
	line   int
	fields map[string]*yaml.Node
	names  []string // in the order of the file
	read   map[string]bool
}

// newObject opens a node; nil, and an error, if it is not an object.
func newObject(p *problems, entity, path string, node *yaml.Node) *object {
	if node == nil || node.Kind != yaml.MappingNode {
		line := 1
		if node != nil {
			line = node.Line
		}
		p.errorf(at{entity, strings.TrimSuffix(path, "."), line}, "is not an object: write its fields below it")
		return nil
	}
	o := &object{p: p, entity: entity, path: path, line: node.Line, fields: make(map[string]*yaml.Node, len(node.Content)/2), read: make(map[string]bool)}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i].Value
		o.fields[name] = node.Content[i+1]
		o.names = append(o.names, name)
	}
	return o
}

// at is the place of a field.
func (o *object) at(field string) at {
	line := o.line
	if node := o.fields[field]; node != nil {
		line = node.Line
	}
	return at{o.entity, strings.TrimSuffix(o.path+field, "."), line}
}

func (o *object) errorf(field, format string, args ...any) {
	o.p.errorf(o.at(field), format, args...)
}

// errorfOf is an error about one value of a list, which may have a line of its own.
func (o *object) errorfOf(field, value, format string, args ...any) {
	where := o.at(field)
	if list := o.fields[field]; list != nil {
		for _, element := range list.Content {
			if element.Value == value {
				where.line = element.Line
				break
			}
		}
	}
	o.p.errorf(where, format, args...)
}

func (o *object) warnf(s severity, field, format string, args ...any) {
	o.p.warnf(s, o.at(field), format, args...)
}

// get returns a field; nil if it is not there or null.
func (o *object) get(field string) *yaml.Node {
	o.read[field] = true
	node := o.fields[field]
	if node == nil || node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil
	}
	return node
}

// has reports whether a field is there and not null, without reading it.
func (o *object) has(field string) bool {
	node := o.fields[field]
	return node != nil && (node.Kind != yaml.ScalarNode || node.Tag != "!!null")
}

// str reads a text. Numbers and booleans are taken as they are written.
func (o *object) str(field string) string {
	node := o.get(field)
	if node == nil {
		return ""
	}
	if node.Kind != yaml.ScalarNode {
		o.errorf(field, "is not a text")
		return ""
	}
	return o.text(field, node)
}

// secret reads a text that may refer to the environment; the reference becomes
// a placeholder that Caddy resolves when the configuration loads.
func (o *object) secret(field string) string {
	node := o.get(field)
	if node == nil {
		return ""
	}
	if node.Kind != yaml.ScalarNode {
		o.errorf(field, "is not a text")
		return ""
	}
	value, reference := resolveReference(node.Value)
	if !reference && strings.Contains(value, "{") {
		return escapePlaceholders(value)
	}
	if reference && value == "" {
		o.errorf(field, "%q refers to a vault that is not there: only the vault env is kept; write {vault://env/<name>} and set that variable", node.Value)
	}
	return value
}

// text returns a scalar in which there is no reference.
func (o *object) text(field string, node *yaml.Node) string {
	if _, reference := resolveReference(node.Value); reference {
		o.errorf(field, "%q refers to the environment, which is possible in secrets and in the address of a service only: write the value itself", node.Value)
		return ""
	}
	return node.Value
}

var (
	deckEnv  = regexp.MustCompile(`\$\{\{\s*env\s+"([A-Za-z_][A-Za-z0-9_]*)"\s*\}\}`)
	vaultEnv = regexp.MustCompile(`^\{vault://env/([A-Za-z_][A-Za-z0-9_-]*)\}$`)
)

// resolveReference turns `${{ env "X" }}` of decK and `{vault://env/x}` of Kong
// into `{env.X}`. A reference to another vault becomes "".
func resolveReference(value string) (resolved string, reference bool) {
	switch {
	case strings.HasPrefix(value, "{vault://"):
		name := vaultEnv.FindStringSubmatch(value)
		if name == nil {
			return "", true
		}
		return "{env." + strings.ToUpper(strings.ReplaceAll(name[1], "-", "_")) + "}", true
	case strings.Contains(value, "${{"):
		if !deckEnv.MatchString(value) {
			return "", true
		}
		return deckEnv.ReplaceAllString(value, "{env.$1}"), true
	}
	return value, false
}

// escapePlaceholders makes a text that Caddy resolves placeholders in mean
// itself.
func escapePlaceholders(value string) string {
	return strings.ReplaceAll(value, "{", `\{`)
}

// number reads a whole number of at least low.
func (o *object) number(field string, low, otherwise int) int {
	node := o.get(field)
	if node == nil {
		return otherwise
	}
	value := node.Value
	if whole, fraction, found := strings.Cut(value, "."); found && strings.Trim(fraction, "0") == "" {
		value = whole
	}
	n, err := strconv.Atoi(value)
	if node.Kind != yaml.ScalarNode || err != nil || n < low {
		o.errorf(field, "%q is not a whole number of %d or more", node.Value, low)
		return otherwise
	}
	return n
}

// decimal reads a number that may have a fraction.
func (o *object) decimal(field string, otherwise float64) float64 {
	node := o.get(field)
	if node == nil {
		return otherwise
	}
	n, err := strconv.ParseFloat(node.Value, 64)
	if node.Kind != yaml.ScalarNode || err != nil || n < 0 || n > 1e15 {
		o.errorf(field, "%q is not a number of 0 or more", node.Value)
		return otherwise
	}
	return n
}

func (o *object) boolean(field string, otherwise bool) bool {
	node := o.get(field)
	if node == nil {
		return otherwise
	}
	word := strings.ToLower(node.Value) // as YAML 1.1 has them, which Kong reads
	switch {
	case node.Kind == yaml.ScalarNode && slices.Contains([]string{"true", "on", "yes", "y"}, word):
		return true
	case node.Kind == yaml.ScalarNode && slices.Contains([]string{"false", "off", "no", "n"}, word):
		return false
	}
	o.errorf(field, "%q is not true or false", node.Value)
	return otherwise
}

// strs reads a list of texts. One text alone is a list of one.
func (o *object) strs(field string) []string {
	node := o.get(field)
	if node == nil {
		return nil
	}
	if node.Kind == yaml.ScalarNode {
		return []string{o.text(field, node)}
	}
	if node.Kind == yaml.MappingNode && len(node.Content) == 0 {
		return nil // an empty list, as Lua writes it
	}
	var list []string
	for _, element := range node.Content {
		if node.Kind != yaml.SequenceNode || element.Kind != yaml.ScalarNode {
			o.errorf(field, "is not a list of texts")
			return nil
		}
		list = append(list, o.text(field, element))
	}
	return list
}

// list reads a list of whatever.
func (o *object) list(field string) []*yaml.Node {
	node := o.get(field)
	switch {
	case node == nil, node.Kind == yaml.MappingNode && len(node.Content) == 0:
		return nil
	case node.Kind != yaml.SequenceNode:
		o.errorf(field, "is not a list: begin each element with a dash")
		return nil
	}
	return node.Content
}

// object reads an object within this one; nil if there is none.
func (o *object) object(field string) *object {
	node := o.get(field)
	if node == nil || node.Kind == yaml.SequenceNode && len(node.Content) == 0 {
		return nil
	}
	return newObject(o.p, o.entity, o.path+field+".", node)
}

// oneOf reads a text that must be one of some words; the first is the default, and empty if
// there is none.
func (o *object) oneOf(field string, words ...string) string {
	value := o.str(field)
	if value == "" {
		return words[0]
	}
	if !slices.Contains(words, value) {
		o.errorf(field, "there is no %q: write %s", value, either(slices.DeleteFunc(slices.Clone(words), func(word string) bool { return word == "" })))
		return words[0]
	}
	return value
}

// ignore reads fields that change nothing here.
func (o *object) ignore(fields ...string) {
	for _, field := range fields {
		o.read[field] = true
	}
}

// done reports the fields that nothing has read. An export names fields that
// are not set, as null.
func (o *object) done() {
	if o == nil {
		return
	}
	for _, name := range o.names {
		if !o.read[name] && o.has(name) {
			o.errorf(name, "this field is not known: remove it, or correct its name")
		}
	}
}

// either writes a choice as "a, b or c".
func either(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// value returns a node as encoding/json has it.
func value(node *yaml.Node) any {
	switch node.Kind {
	case yaml.MappingNode:
		members := make(map[string]any, len(node.Content)/2)
		for i := 0; i+1 < len(node.Content); i += 2 {
			members[node.Content[i].Value] = value(node.Content[i+1])
		}
		return members
	case yaml.SequenceNode:
		list := make([]any, len(node.Content))
		for i, element := range node.Content {
			list[i] = value(element)
		}
		return list
	}
	var decoded any
	if node.Tag == "!!str" || node.Decode(&decoded) != nil {
		return node.Value
	}
	return decoded
}
