// SPDX-License-Identifier: Apache-2.0

// Package caddyadmin is what an operator does at run time: it adds routes below
// /gluu/ to Caddy's admin endpoint, under the access rules of that endpoint.
// Each concern is a module of its own:
//
//	admin.api.gluu_providers     GET /gluu/providers
//	admin.api.gluu_cache         GET /gluu/cache
//	admin.api.gluu_sessions      /gluu/sessions
//	admin.api.gluu_tokens        DELETE /gluu/tokens...
//	admin.api.gluu_consumers     /gluu/consumers...
//	admin.api.gluu_signing_keys  /gluu/signing-keys...
//	admin.api.gluu_ui            POST /gluu/ui
//	admin.api.gluu_audit         GET /gluu/audit
//	admin.api.gluu               404 for everything else below /gluu/
//
// The package only translates between HTTP and operations that other packages
// export: the methods of [introspect.App], of its consumer.Directory and of its
// headers.Signer. A user interface calls those directly.
//
// No answer contains a secret or a token. To add a concern, write a file with a
// module whose routes are a [handler] each.
package caddyadmin
