// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import "encoding/json"

// Document says which scopes the paths of an API require. Operators write it;
// a gateway decides with the Policy that Compile makes of it.
type Document []PathRule

// PathRule is one path pattern and its requirements by method.
type PathRule struct {
	// Path is a pattern of package pathmatch, such as /users/?/{todos|photos}.
	Path string `json:"path"`

	// Conditions are the requirements for the methods of this path. A method can
	// be in only one of them.
	Conditions []Condition `json:"conditions"`

	// src and index say where the rule was read, for the line in the errors of
	// Compile. They are unset in a document built in code.
	src   *source
	index int
}

// Condition is what some methods of a path require.
type Condition struct {
	// HTTPMethods are the methods, in upper case; "?" is every method that no
	// condition of this path names. GET includes HEAD, unless HEAD is named.
	HTTPMethods []string `json:"httpMethods"`

	// ScopeExpression is what the token's scopes must satisfy. A condition has
	// either a ScopeExpression or an Access.
	ScopeExpression *Expression `json:"scope_expression,omitempty"`

	// Access is "public" for requests that need no token, "permitted" for those with any
	// permission for the resource (UMA only), or "authenticated" for
	// requests that need a verified token, whatever its scopes.
	Access string `json:"access,omitempty"`

	// ACR lists authentication context classes, the preferred one first. The
	// token must have one of them (RFC 9470, section 3).
	ACR []string `json:"acr,omitempty"`

	// MaxAge is the number of seconds that may have passed since the user
	// authenticated (RFC 9470, section 3); 0 sets no limit.
	MaxAge int64 `json:"max_age,omitempty"`

	// ResourceID identifies a resource that already exists at the UMA
	// authorization server, so none is registered. UMA only.
	ResourceID string `json:"resource_id,omitempty"`

	// ResourceName is the name by which the resource is registered or found at
	// the UMA authorization server. UMA only.
	ResourceName string `json:"resource_name,omitempty"`

	// Operation names what the condition is about, for logs and metrics: the
	// operationId of an OpenAPI document. It cannot be written in a document.
	Operation string `json:"-"`
}

// Values of Condition.Access.
const (
	Public        = "public"
	Authenticated = "authenticated"

	// Permitted is for requests of callers who have any permission at all for the
	// resource, which exists at the authorization server with its scopes. UMA only.
	Permitted = "permitted"

	// Denied is for requests that are refused for every caller. It cannot be
	// written in a document, where leaving a path out says the same; a rule made of
	// something else needs it against a wider rule.
	Denied = "denied"
)

// Expression is a JSON Logic rule over a list of scopes.
type Expression struct {
	// Rule is the JSON Logic object; {"var": 0} is the first entry of Data.
	Rule json.RawMessage `json:"rule"`

	// Data lists scopes. An entry that starts with ^ is a regular expression
	// that must match a whole scope; its groups PC1 to PC9 must equal the
	// captures of the path.
	Data []string `json:"data"`
}

// UnmarshalJSON calls ParseDocument, so that a document inside another JSON value
// is read just as strictly.
func (d *Document) UnmarshalJSON(b []byte) error {
	doc, err := ParseDocument(b)
	if err != nil {
		return err
	}
	*d = doc
	return nil
}

// Limits on documents. All are far beyond what a policy needs; they make a
// hostile or broken document cheap to refuse.
const (
	maxDocumentBytes = 32 << 20
	maxRuleDepth     = 32
	maxRuleNodes     = 4096
	maxDataEntries   = 256
	maxEntryBytes    = 4096
)
