// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

// Options say how a document is read.
type Options struct {
	// SecuritySchemes names the schemes of the document whose tokens this gateway
	// verifies. Empty: all of type oauth2 and openIdConnect, and an operation that
	// requires another one is refused. With names, requirements of other schemes
	// are left out, and what remains must still protect.
	SecuritySchemes []string

	// BasePath precedes the paths of the document: a path, Servers for what
	// its servers say, or None. Empty: Servers.
	BasePath string

	// Unlisted is the access to operations without any security: Deny,
	// scopeexpr.Public or scopeexpr.Authenticated. Empty: Deny.
	Unlisted string

	// Prefix precedes each scope of the document.
	Prefix string

	// UMA is set for rules whose scopes are those of UMA resources.
	UMA bool

	// OperationsOnly leaves the security of the document to others: each rule only
	// says which operation a request is.
	OperationsOnly bool
}

// Words that options have.
const (
	Servers = "servers"
	None    = "none"
	Deny    = "deny"
)

// Check refuses values that are wrong whatever the document says.
func (o *Options) Check() error {
	switch o.Unlisted {
	case "", Deny, scopeexpr.Public, scopeexpr.Authenticated:
	default:
		return fmt.Errorf("unlisted must be deny, public or authenticated, not %q", o.Unlisted)
	}
	switch {
	case o.BasePath == "", o.BasePath == Servers, o.BasePath == None:
	case !strings.HasPrefix(o.BasePath, "/"):
		return fmt.Errorf("base_path must be servers, none or a path such as /api/v1, not %q", o.BasePath)
	case strings.ContainsAny(o.BasePath, "{}?#*") || strings.Contains(o.BasePath, "//"):
		return fmt.Errorf("base_path %q must be a plain path such as /api/v1, without wildcards", o.BasePath)
	}
	if strings.HasPrefix(o.Prefix, "^") {
		return fmt.Errorf("prefix %q starts with ^, which makes a scope a regular expression: write a plain prefix, for example 'prefix role:'", o.Prefix)
	}
	if slices.Contains(o.SecuritySchemes, "") {
		return fmt.Errorf("security_scheme is empty: name a scheme of the document")
	}
	return nil
}
