// SPDX-License-Identifier: Apache-2.0

// Package policytool lets the command line ask policies in Rego without knowing Open
// Policy Agent: a build that leaves OPA out has the commands and not the engine.
package policytool

import (
	"encoding/json"
	"errors"
)

// Tool evaluates policies that are files.
type Tool interface {
	// Load compiles the files that a pattern matches. An error says that they cannot
	// be used.
	Load(pattern string) (Policy, error)

	// LoadHandler compiles what a handler gluu_opa_pep of a configuration decides by.
	// Both texts are JSON: that of the handler, and that of the app gluu, nil if there
	// is none. ErrElsewhere says that something else decides.
	LoadHandler(handler, app json.RawMessage) (Policy, error)

	// Test runs the tests in files of policies, those that OPA itself runs.
	Test(files []string) ([]TestResult, error)
}

// Policy is a set of compiled files.
type Policy interface {
	Ask(Question) (*Answer, error)
}

// Question is a request and its caller.
type Question struct {
	Decision string // "" for the default
	Request  string // such as "GET /todos/7"

	NoToken  bool
	Claims   []byte   // of the token, a JSON object; nil for none but those of Scopes
	Scopes   []string // in addition to those in Claims
	Consumer string   // the username; "" for none

	// Why asks for the expressions that failed.
	Why bool
}

// Answer is what a policy decides.
type Answer struct {
	Decision  string          `json:"decision"`            // allow, deny, unprotected or bad_request
	Operation string          `json:"operation,omitempty"` // of the OpenAPI document of the handler
	Outcome   string          `json:"outcome"`             // grant, deny, undefined, or error
	Result    json.RawMessage `json:"result"`              // null if undefined
	Reason    string          `json:"reason,omitempty"`
	Why       []string        `json:"why,omitempty"`
}

// TestResult is the result of one test.
type TestResult struct {
	File    string
	Line    int
	Name    string // with its package
	Passed  bool
	Skipped bool
	Error   string // why it did not pass, if more is known
}

// ErrNone says that the build has no OPA.
var ErrNone = errors.New("this build of Caddy has no Open Policy Agent: build it with github.com/caddy-gluu/gateway/caddyopa")

// ErrElsewhere says that files alone do not decide.
var ErrElsewhere = errors.New("the policies are at a server or in a bundle: ask the running gateway, with 'caddy gluu explain --token'")

var registered Tool

// Register is called by the package that has OPA, when it is loaded.
func Register(t Tool) { registered = t }

// Find returns what was registered.
func Find() (Tool, error) {
	if registered == nil {
		return nil, ErrNone
	}
	return registered, nil
}
