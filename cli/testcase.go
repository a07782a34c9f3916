// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-gluu/gateway/internal/liveconfig"
)

// TestCase is what a case of a test file says about a decision.
type TestCase struct {
	Request  string
	Scopes   []string
	NoToken  bool
	Want     string
	Rule     string    // "" if none takes the request
	Captures []*string // nil for an absent group
}

// testCase is a decision as a case that wants it. The request is as a person wrote it.
func (d *decision) testCase(request string) *TestCase {
	c := &TestCase{Request: request, Scopes: d.scopes, NoToken: d.noToken, Want: d.what, Captures: d.captures()}
	if rule := d.rulePattern(); rule != nil {
		c.Rule = *rule
	}
	return c
}

// YAML writes the case as an element of the tests of a file. It fails for a request or
// scopes that are not valid UTF-8, which no file can say.
func (c *TestCase) YAML() (string, error) {
	members := &yaml.Node{Kind: yaml.MappingNode}
	add := func(name string, value *yaml.Node) {
		members.Content = append(members.Content, textNode(name), value)
	}
	add("request", textNode(c.Request))
	if c.NoToken {
		add("no_token", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	} else {
		add("scopes", textsNode(c.Scopes))
	}
	add("want", textNode(c.Want))
	if c.Rule != "" {
		add("rule", textNode(c.Rule))
	}
	if len(c.Captures) > 0 {
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, capture := range c.Captures {
			value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "~"}
			if capture != nil {
				value = textNode(*capture)
			}
			list.Content = append(list.Content, value)
		}
		add("captures", list)
	}
	return encodeYAML(&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{members}})
}

func textNode(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		n.Style = yaml.DoubleQuotedStyle // only there U+2028 is not a line that is folded
	}
	return n
}

func textsNode(texts []string) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, text := range texts {
		list.Content = append(list.Content, textNode(text))
	}
	return list
}

func encodeYAML(n *yaml.Node) (string, error) {
	var b strings.Builder
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(n); err != nil {
		return "", err
	}
	err := encoder.Close()
	return b.String(), err
}

// AddTestCase adds a case to the last document of a test file. The text is that of
// [TestCase.YAML], which a person may have edited. All else in the file stays as it is.
func AddTestCase(file, text string) error {
	added, err := readTestCase(text)
	if err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	after, err := insertCase(before, added)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := checkRuns(file, before, after); err != nil {
		return err
	}
	return liveconfig.WriteFile(target, after, 0o644) // a link stays one
}

// checkRuns refuses a case that would keep its file from being run, and with it all the
// other cases: one with a rule for a policy in Rego, for example.
func checkRuns(file string, before, after []byte) error {
	if _, err := runText(file, before, nil); err != nil {
		return fmt.Errorf("%s: cannot be run as it is, so nothing is added: caddy gluu test says why", file) // which can quote a configuration
	}
	_, err := runText(file, after, nil)
	return err
}

// readTestCase reads one case, and refuses what `caddy gluu test` would.
func readTestCase(text string) (*yaml.Node, error) {
	var cases []testCase
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&cases); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("this is not a test case: %w%s", err, yamlHint([]byte(text), err))
	}
	if len(cases) != 1 {
		return nil, fmt.Errorf(`write one case, which begins with "- request:", not %d`, len(cases))
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("write one case, and no second document")
	}
	if _, err := cases[0].check(); err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, err
	}
	return document.Content[0], nil
}

// insertCase writes a list of one case behind the tests of the last document. It refuses
// a file of which anything else would change.
func insertCase(before []byte, added *yaml.Node) ([]byte, error) {
	tests, end, err := lastTests(before)
	if err != nil {
		return nil, err
	}
	if hasCase(tests, added.Content[0]) {
		return nil, ErrSameCase
	}
	text, err := encodeYAML(added)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	lines := bytes.SplitAfter(before, []byte("\n"))
	if end > len(lines) {
		return nil, errors.New("its lines do not end with \\n: write the case there yourself")
	}
	for _, line := range lines[:end] {
		b.Write(line)
	}
	if !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
		b.WriteByte('\n')
	}
	for line := range strings.Lines(text) {
		b.WriteString(strings.Repeat(" ", tests.Column-1) + line)
	}
	for _, line := range lines[end:] {
		b.Write(line)
	}
	if !isAddedTo(before, b.Bytes(), added) {
		return nil, errors.New("a case cannot be added without changing something else in it: write it there yourself")
	}
	return b.Bytes(), nil
}

// ErrSameCase says that a file has a case already.
var ErrSameCase = errors.New("the file has this case already")

func hasCase(tests, added *yaml.Node) bool {
	var want any
	if added.Decode(&want) != nil {
		return false
	}
	return slices.ContainsFunc(tests.Content, func(n *yaml.Node) bool {
		var is any
		return n.Decode(&is) == nil && reflect.DeepEqual(is, want)
	})
}

// lastTests finds the tests of the last document, and the line behind them.
func lastTests(text []byte) (tests *yaml.Node, end int, err error) {
	documents, err := yamlDocuments[yaml.Node](text)
	if err != nil {
		return nil, 0, err
	}
	if len(documents) == 0 || documents[len(documents)-1].Content[0].Kind != yaml.MappingNode {
		return nil, 0, errors.New("the last document has no tests: add a list named tests")
	}
	members := documents[len(documents)-1].Content[0].Content
	end = bytes.Count(text, []byte("\n"))
	if !bytes.HasSuffix(text, []byte("\n")) {
		end++
	}
	for i := 0; i < len(members); i += 2 {
		switch {
		case members[i].Value == "tests":
			tests = members[i+1]
		case tests != nil:
			return usable(tests, members[i].Line-1-linesIn(members[i].HeadComment))
		}
	}
	return usable(tests, end)
}

func linesIn(comment string) int {
	if comment == "" {
		return 0
	}
	return strings.Count(comment, "\n") + 1
}

func usable(tests *yaml.Node, end int) (*yaml.Node, int, error) {
	if tests == nil || tests.Kind != yaml.SequenceNode || tests.Style&yaml.FlowStyle != 0 || len(tests.Content) == 0 {
		return nil, 0, errors.New("the last document has no list named tests with a case on lines of its own: write the first one yourself")
	}
	return tests, end, nil
}

// isAddedTo reports whether a text says the same as another, with a case behind the
// tests of the last document.
func isAddedTo(before, after []byte, added *yaml.Node) bool {
	old, err := yamlDocuments[map[string]any](before)
	current, err2 := yamlDocuments[map[string]any](after)
	var cases []any
	if err != nil || err2 != nil || len(old) == 0 || added.Decode(&cases) != nil {
		return false
	}
	tests, _ := old[len(old)-1]["tests"].([]any)
	old[len(old)-1]["tests"] = append(tests, cases...)
	return reflect.DeepEqual(old, current)
}

// yamlDocuments reads all documents of a text.
func yamlDocuments[T any](text []byte) (documents []T, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document T
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return documents, nil
		case err != nil:
			return nil, err
		}
		documents = append(documents, document)
	}
}
