// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway"
	"github.com/caddy-gluu/gateway/headers"
)

var caddyfileBlock = regexp.MustCompile("(?s)```caddyfile\n(.*?)```")

// Every Caddyfile on a page is one. Those with a plugin that is only in the
// standard build are left to the examples.
func TestEveryCaddyfileCanBeRead(t *testing.T) {
	pages := files(t, ".md")
	petstore, err := filepath.Abs("../examples/openapi/petstore.yaml")
	if err != nil {
		t.Fatal(err)
	}
	writePolicies(t)
	for page, content := range pages {
		if !strings.HasPrefix(page, "../docs/") {
			continue
		}
		for _, block := range caddyfileBlock.FindAllStringSubmatch(content, -1) {
			source := block[1]
			if strings.Contains(source, "rate_limit") {
				continue
			}
			source = strings.ReplaceAll(source, "openapi petstore.yaml", "openapi "+petstore)
			if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(source), map[string]any{"filename": page}); err != nil {
				t.Errorf("%s: %v\n%s", page, err, source)
			}
		}
	}
}

// writePolicies goes to a folder with the files that Caddyfiles of the pages name.
func writePolicies(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.Mkdir("policies", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, document := range map[string]string{
		"photos.json": `[{"path": "/photos", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["photos:read"]}}]}]`,
		"levels.json": `[{"path": "/payments", "conditions": [{"httpMethods": ["?"], "required_acrs": ["urn:example:gold"]}]}]`,
	} {
		if err := os.WriteFile("policies/"+name, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var expressionRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// Every expression in the table of the page about headers compiles.
func TestEveryExpressionCompiles(t *testing.T) {
	content, err := os.ReadFile("headers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(content), "\n## Expressions\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := expressionRow.FindAllStringSubmatch(section, -1)
	if len(rows) < 5 {
		t.Fatalf("%d expressions", len(rows))
	}
	for _, row := range rows {
		if _, err := headers.CompileHeader(headers.HeaderConfig{HeaderName: "X-A", Value: row[1]}, "introspect_data", "consumer"); err != nil {
			t.Error(err)
		}
	}
}
