// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeBillOfMaterials writes what is in a binary, as CycloneDX: the modules
// that the Go linker recorded, not those that a go.mod asks for.
func writeBillOfMaterials(path, binary string, r release, p platform) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("reading what is in %s: %w", binary, err)
	}
	bom := billOfMaterials(info, r, p)
	return writeFile(path, func(w io.Writer) error {
		return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	})
}

func billOfMaterials(info *debug.BuildInfo, r release, p platform) *cdx.BOM {
	root := cdx.Component{
		BOMRef: "caddy-gluu", Type: cdx.ComponentTypeApplication, Name: "caddy-gluu", Version: r.version,
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		PackageURL: packageURL(gatewayModule, r.version, p),
	}
	components := []cdx.Component{standardLibrary(info.GoVersion)}
	for _, module := range info.Deps {
		components = append(components, component(module, r.version))
	}
	slices.SortFunc(components, func(a, b cdx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	var refs []string
	for _, c := range components {
		refs = append(refs, c.BOMRef)
	}

	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: r.time.Format(time.RFC3339), Component: &root}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: root.BOMRef, Dependencies: &refs}}
	return bom
}

// component describes a module. The gateway itself is replaced by its working
// copy, so that its version is the release's.
func component(module *debug.Module, version string) cdx.Component {
	if module.Path == gatewayModule {
		module = &debug.Module{Path: module.Path, Version: version}
	} else if module.Replace != nil {
		module = module.Replace
	}
	purl := packageURL(module.Path, module.Version, platform{})
	c := cdx.Component{
		BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: module.Path, Version: module.Version,
		Scope: cdx.ScopeRequired, PackageURL: purl,
	}
	// "h1:" is the SHA-256 of the module's file hashes, in base64.
	if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(module.Sum, "h1:")); err == nil && len(sum) == 32 {
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
	}
	return c
}

func standardLibrary(goVersion string) cdx.Component {
	version := strings.TrimPrefix(goVersion, "go")
	purl := packageURL("std", version, platform{})
	return cdx.Component{
		BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: "std", Version: version,
		Scope: cdx.ScopeRequired, PackageURL: purl,
	}
}

// packageURL writes a purl of the type golang.
func packageURL(path, version string, p platform) string {
	purl := "pkg:golang/" + path + "@" + url.PathEscape(version)
	if p != (platform{}) {
		purl += "?goarch=" + p.arch + "&goos=" + p.os
	}
	return purl
}
