// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import "encoding/json"

// Document says which scopes the paths of an API ask for. It is what an
// operator writes; a gateway decides with the Policy that Compile makes of it.
type Document []PathRule

// PathRule is one path pattern and what it asks for, method by method.
type PathRule struct {
	// Path is a pattern of package pathmatch, such as /users/?/{todos|photos}.
	Path string `json:"path"`

	// Conditions share out the methods of this path. No method may stand in
	// two of them.
	Conditions []Condition `json:"conditions"`

	// src and index say where the rule was read, so that an error found by
	// Compile can name the line. They are unset in a document built in code.
	src   *source
	index int
}

// Condition is what some methods of a path ask for.
type Condition struct {
	// HTTPMethods are the methods, in upper case; "?" stands for every method
	// that no condition of this path names. GET covers HEAD too, unless HEAD
	// is named.
	HTTPMethods []string `json:"httpMethods"`

	// ScopeExpression is what the token's scopes must satisfy.
	ScopeExpression *Expression `json:"scope_expression"`

	// ACR are the authentication context classes of which the token must
	// carry one, the preferred one first (RFC 9470, section 3).
	ACR []string `json:"acr,omitempty"`

	// MaxAge is the number of seconds that may have passed since the user
	// authenticated (RFC 9470, section 3); 0 asks for nothing.
	MaxAge int64 `json:"max_age,omitempty"`

	// ResourceID names a resource that exists at the UMA authorization server
	// already, so that none is registered. UMA only.
	ResourceID string `json:"resource_id,omitempty"`

	// ResourceName is the name under which the resource is registered, or
	// found, at the UMA authorization server. UMA only.
	ResourceName string `json:"resource_name,omitempty"`
}

// Expression is a JSON Logic rule over a list of scopes.
type Expression struct {
	// Rule is the JSON Logic object; {"var": 0} is the first entry of Data.
	Rule json.RawMessage `json:"rule"`

	// Data lists scopes. An entry that begins with ^ is a regular expression
	// that must match a whole scope; its groups PC1 to PC9 must equal the
	// captures of the path.
	Data []string `json:"data"`
}

// UnmarshalJSON reads a document as ParseDocument does, so that a document
// within another JSON structure is read no less strictly.
func (d *Document) UnmarshalJSON(b []byte) error {
	doc, err := ParseDocument(b)
	if err != nil {
		return err
	}
	*d = doc
	return nil
}

// Limits of what is accepted. All are far beyond what a policy needs; they
// keep a document that is hostile or has gone wrong from costing more than a
// refusal.
const (
	maxDocumentBytes = 32 << 20
	maxRuleDepth     = 32
	maxRuleNodes     = 4096
	maxDataEntries   = 256
	maxEntryBytes    = 4096
)
