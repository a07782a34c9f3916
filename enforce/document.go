// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// Compile makes the policy of the rules in the configuration, a document or a
// string that contains one, and of the rules in a file. Either may be missing, but
// not both. option is the name of the configuration field, for errors.
func Compile(option string, inline json.RawMessage, file string, opts scopeexpr.Options) (*scopeexpr.Policy, error) {
	policy, _, err := (&RuleSource{Option: option, Inline: inline, File: file, Options: opts}).Compile()
	return policy, err
}

// ownRules returns the rules that an operator wrote, in the configuration and in a file.
func ownRules(option string, inline json.RawMessage, file string, opts scopeexpr.Options) (scopeexpr.Document, error) {
	var document scopeexpr.Document
	if len(inline) > 0 && !bytes.Equal(inline, []byte("null")) {
		parsed, err := scopeexpr.ParseDocument(inline)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", option, err)
		}
		document = parsed
	}
	if file != "" {
		fromFile, err := readDocument(file, opts)
		if err != nil {
			return nil, fmt.Errorf("%s_file: %w", option, err)
		}
		document = slices.Concat(document, fromFile)
	}
	return document, nil
}

// maxDocument bounds the size of a file with rules.
const maxDocument = 64 << 20

// readDocument reads a document from a file. It also compiles the document, so that
// errors say where in the file they are.
func readDocument(file string, opts scopeexpr.Options) (scopeexpr.Document, error) {
	name, err := directive.Resolve(file)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxDocument {
		return nil, fmt.Errorf("%q is not a regular file of at most %d MiB", name, maxDocument>>20)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	document, err := scopeexpr.ParseDocument(content)
	if err == nil {
		_, err = document.Compile(opts)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return document, nil
}
