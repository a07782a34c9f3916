// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers the format
)

const packageName = "caddy-gluu"

// A packer makes the packages of one Linux architecture.
type packer struct {
	release
	source  string // the sources, with packaging/
	program string
	arch    string
	scratch string // for files that only exist in packages
	manual  manual
}

// pack writes a package in a format, deb or rpm, into a folder.
func (p packer) pack(format, into string) error {
	contents, err := p.contents()
	if err != nil {
		return err
	}
	info := nfpm.WithDefaults(p.describe(format, contents))
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	name := packager.ConventionalFileName(info)
	return writeFile(filepath.Join(into, name), func(w io.Writer) error {
		if err := packager.Package(info, w); err != nil {
			return fmt.Errorf("making %s: %w", name, err)
		}
		return nil
	})
}

func (p packer) describe(format string, contents files.Contents) *nfpm.Info {
	script := func(name string) string { return filepath.Join(p.source, "packaging", "scripts", name) }
	info := &nfpm.Info{
		Name: packageName, Arch: p.arch, Platform: "linux", Version: p.version,
		Section: "httpd", Priority: "optional",
		Maintainer: "The Caddy-Gluu authors <https://github.com/caddy-gluu/gateway>",
		Description: "Gluu Gateway on Caddy\n" +
			"Caddy with modules that protect an API with OAuth 2.0, UMA 2.0 and OpenID\n" +
			"Connect: each request is allowed or refused by its access token, path and\n" +
			"method.",
		Homepage: "https://github.com/caddy-gluu/gateway", License: "Apache-2.0",
		MTime: p.time,
		Overridables: nfpm.Overridables{
			Contents:  contents,
			Conflicts: []string{"caddy"}, // both are /usr/bin/caddy
			Scripts: nfpm.Scripts{
				PostInstall: script("postinstall.sh"), PreRemove: script("preremove.sh"), PostRemove: script("postremove.sh"),
			},
			Umask: 0o022,
		},
	}
	switch format {
	case "deb":
		info.Provides, info.Replaces = []string{"caddy"}, []string{"caddy"}
		info.Depends, info.Recommends = []string{"passwd"}, []string{"ca-certificates"}
		info.Deb.Compression = "gzip"
	case "rpm":
		// What RPM calls "obsoletes" would replace an installed Caddy without
		// being asked for.
		info.Depends, info.Recommends = []string{"shadow-utils"}, []string{"ca-certificates"}
		info.RPM.Summary, info.RPM.BuildHost, info.RPM.Group = "Gluu Gateway on Caddy", "localhost", "Unspecified"
	}
	return info
}

// contents lists what a package holds.
func (p packer) contents() (files.Contents, error) {
	packaging := filepath.Join(p.source, "packaging")
	const doc = "/usr/share/doc/" + packageName + "/"
	contents := files.Contents{
		p.regular(p.program, "/usr/bin/caddy", 0o755),
		p.regular(filepath.Join(packaging, "caddy.service"), "/usr/lib/systemd/system/caddy.service", 0o644),
		p.config(filepath.Join(packaging, "Caddyfile"), "/etc/caddy/Caddyfile"),
		p.regular(filepath.Join(p.source, "LICENSE"), doc+"copyright", 0o644),
		p.regular(filepath.Join(p.source, "CHANGELOG.md"), doc+"CHANGELOG.md", 0o644),
		p.regular(filepath.Join(p.source, "examples/quickstart/Caddyfile"), doc+"examples/quickstart.Caddyfile", 0o644),
	}
	for _, shell := range shells {
		saved, err := p.save(p.manual.completions[shell.name])
		if err != nil {
			return nil, err
		}
		contents = append(contents, p.regular(saved, shell.place, 0o644))
	}
	for _, page := range p.manual.pages {
		compressed, err := gzipped(page.content)
		if err != nil {
			return nil, err
		}
		saved, err := p.save(file{name: page.name + ".gz", content: compressed})
		if err != nil {
			return nil, err
		}
		contents = append(contents, p.regular(saved, "/usr/share/man/man8/"+page.name+".gz", 0o644))
	}
	return contents, nil
}

func (p packer) regular(source, destination string, mode os.FileMode) *files.Content {
	return &files.Content{
		Source: source, Destination: destination,
		FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: p.time},
	}
}

// config is a file that belongs to the administrator once it is changed.
func (p packer) config(source, destination string) *files.Content {
	content := p.regular(source, destination, 0o644)
	content.Type = files.TypeConfigNoReplace
	return content
}

// save writes a file for nfpm, which reads from the disk.
func (p packer) save(f file) (string, error) {
	path := filepath.Join(p.scratch, f.name)
	return path, os.WriteFile(path, f.content, 0o644)
}
