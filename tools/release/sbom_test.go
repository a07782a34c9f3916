// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func TestTheBillNamesWhatIsInTheBinary(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{
		{Path: gatewayModule, Version: "v0.0.0", Replace: &debug.Module{Path: "../gateway"}},
		{Path: "example.com/forked", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.0.1"}},
		// printf 'sum' | sha256sum, in hexadecimal and in base64
		{Path: "example.com/module/v2", Version: "v2.0.0+incompatible", Sum: "h1:CfX/7ygwmFMmXEqY0OVuG+UitrQC2Bk1lP0FEDBk/Go="},
	}}
	bom := billOfMaterials(info, release{version: "v1.2.3", time: commitTime}, platform{"linux", "arm64"})

	if got, want := bom.Metadata.Component.PackageURL, "pkg:golang/github.com/caddy-gluu/gateway@v1.2.3?goarch=arm64&goos=linux"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	found := map[string]cdx.Component{}
	for _, c := range *bom.Components {
		found[c.PackageURL] = c
	}
	for _, want := range []string{
		"pkg:golang/github.com/caddy-gluu/gateway@v1.2.3", "pkg:golang/example.com/fork@v1.0.1",
		"pkg:golang/example.com/module/v2@v2.0.0+incompatible", "pkg:golang/std@1.26.8",
	} {
		if _, ok := found[want]; !ok {
			t.Errorf("%s is missing", want)
		}
	}
	if len(found) != 4 {
		t.Errorf("got %d components, want 4: %v", len(found), found)
	}
	hashes := found["pkg:golang/example.com/module/v2@v2.0.0+incompatible"].Hashes
	if hashes == nil || !strings.HasPrefix((*hashes)[0].Value, "09f5ffef2830985326") {
		t.Errorf("got the hashes %v", hashes)
	}
	if got := len(*(*bom.Dependencies)[0].Dependencies); got != 4 {
		t.Errorf("the application depends on %d components, want all 4", got)
	}
}

// TestTheBillOfARealBinary reads this test's own.
func TestTheBillOfARealBinary(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bill.json")
	if err := writeBillOfMaterials(path, program, release{version: "v1.2.3", time: commitTime}, here()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(content), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if bom.BOMFormat != "CycloneDX" || !strings.Contains(string(content), "pkg:golang/github.com/CycloneDX/cyclonedx-go@v") {
		t.Errorf("got %s", content)
	}
}
