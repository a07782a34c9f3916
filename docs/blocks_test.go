// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/authserver"
	"github.com/caddy-gluu/gateway/caddycors"
	"github.com/caddy-gluu/gateway/caddyoauth"
	"github.com/caddy-gluu/gateway/caddyoidc"
	"github.com/caddy-gluu/gateway/caddystore"
	"github.com/caddy-gluu/gateway/caddyui"
	"github.com/caddy-gluu/gateway/caddyuma"
	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/sessionpool"
	"github.com/caddy-gluu/gateway/introspect"
)

// What the Caddyfile writes in another way than under the name of the field, or not
// at all.
var writtenAs = map[string]string{
	"@id":                            "id",
	"providers":                      "provider",
	"consumers":                      "consumer",
	"custom_headers":                 "header",
	"clients":                        "client",
	"client_key_id":                  "client_key",
	"client_certificate_key":         "client_certificate",
	"resource_scopes":                "scopes",
	"username":                       "consumer",
	"created_at":                     "", // of live consumers
	"authorization_params":           "authorization_param",
	"max_id_token_auth_age_optional": "max_id_token_auth_age",
	"restore_max_body":               "restore_original_auth_params",
	"userinfo_interval":              "userinfo",
	"embedded":                       "provider embedded",
	"keys":                           "key",
	"tokens":                         "token",
	"dsn":                            "store postgres", // the engine is followed by its address
	"url":                            "store redis",
	"scope_texts":                    "scope",
	"user_token_ttl":                 "token_ttl",
	"second_secret":                  "secret",
	"storage":                        "store",
}

// Every option is shown in a code block of some page: a row in a table says what an
// option means, a block how it is written.
func TestEveryOptionIsInACodeBlock(t *testing.T) {
	var blocks strings.Builder
	for file, page := range files(t, ".md") {
		if !strings.HasPrefix(file, "../docs/") {
			continue
		}
		for _, block := range caddyfileBlock.FindAllStringSubmatch(page, -1) {
			blocks.WriteString(block[1])
		}
	}
	for _, described := range []any{
		introspect.App{}, provider.Config{}, introspect.CacheConfig{}, sessionpool.Config{}, provider.Registration{}, consumer.Consumer{},
		caddyoauth.OAuthAuth{}, caddyoauth.OAuthPEP{}, caddyoauth.JWKS{}, caddyoauth.ResourceMetadata{}, caddyoidc.OpenIDConnect{},
		caddyui.UI{}, caddyuma.UMAAuth{}, caddyuma.UMAPEP{}, caddycors.CORS{}, authserver.Server{}, authserver.Client{},
		authserver.RefreshToken{}, authserver.Registration{}, authserver.Limit{},
		caddystore.Embedded{}, caddystore.Postgres{}, caddystore.Redis{},
	} {
		for _, name := range fields(reflect.TypeOf(described)) {
			written, other := writtenAs[name]
			if !other {
				written = name
			}
			if written != "" && !regexp.MustCompile(`(?m)(^|\{)\s*`+regexp.QuoteMeta(written)+`\b`).MatchString(blocks.String()) {
				t.Errorf("no code block shows %s of %T", written, described)
			}
		}
	}
}
