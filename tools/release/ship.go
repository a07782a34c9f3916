// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// ship compiles for the platforms and fills the folder of what is shipped.
func ship(ctx context.Context, s *stage, platforms []platform) error {
	fmt.Printf("%s: Caddy and the plugins of xcaddy.json, commit %.12s\n", s.version, s.commit)
	if err := s.prepare(ctx); err != nil {
		return err
	}
	for _, p := range platforms {
		fmt.Printf("compiling for %s\n", p)
		if err := s.compile(ctx, p); err != nil {
			return err
		}
	}
	// The commands say the same on each platform; only a binary of this machine
	// can be asked.
	if !slices.Contains(platforms, here()) {
		if err := s.compile(ctx, here()); err != nil {
			return err
		}
	}
	m, err := s.manual(ctx)
	if err != nil {
		return err
	}
	return s.assemble(platforms, m)
}

func (s *stage) manual(ctx context.Context) (manual, error) {
	dir, err := s.scratch("manual")
	if err != nil {
		return manual{}, err
	}
	return writeManual(ctx, s.program(here()), dir, s.release)
}

// scratch makes a folder of the stage.
func (s *stage) scratch(name string) (string, error) {
	dir := filepath.Join(s.dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// assemble makes everything from binaries that are there.
func (s *stage) assemble(platforms []platform, m manual) error {
	fmt.Println("archives, packages, image, chart, bills of materials")
	programs := map[platform]string{}
	for _, p := range platforms {
		if err := s.archive(p, m); err != nil {
			return err
		}
		bill := filepath.Join(s.dist(), s.artifact(p)+".cdx.json")
		if err := writeBillOfMaterials(bill, s.program(p), s.release, p); err != nil {
			return err
		}
		if p.os != "linux" {
			continue
		}
		programs[p] = s.program(p)
		if err := s.packages(p, m); err != nil {
			return err
		}
	}
	if err := s.image(programs); err != nil {
		return err
	}
	chart, err := chartFiles(s.source(), s.release)
	if err != nil {
		return err
	}
	if err := writeTarGz(filepath.Join(s.dist(), packageName+"-"+s.number()+".tgz"), chart, s.time); err != nil {
		return err
	}
	return writeChecksums(s.dist())
}

// artifact is the name of what is shipped for a platform, without its ending.
func (s *stage) artifact(p platform) string {
	return fmt.Sprintf("%s_%s_%s_%s", packageName, s.number(), p.os, p.arch)
}

// archive packs the binary with what belongs to it.
func (s *stage) archive(p platform, m manual) error {
	from := func(name string) string { return filepath.Join(s.source(), name) }
	files := []file{
		{name: p.binary(), mode: 0o755, source: s.program(p)},
		{name: "LICENSE", mode: 0o644, source: from("LICENSE")},
		{name: "README.md", mode: 0o644, source: from("README.md")},
		{name: "CHANGELOG.md", mode: 0o644, source: from("CHANGELOG.md")},
		{name: "Caddyfile", mode: 0o644, source: from("packaging/Caddyfile")},
		{name: "quickstart.Caddyfile", mode: 0o644, source: from("examples/quickstart/Caddyfile")},
	}
	if p.os == "linux" {
		files = append(files, file{name: "caddy.service", mode: 0o644, source: from("packaging/caddy.service")})
	}
	if p.os == "windows" {
		return writeZip(filepath.Join(s.dist(), s.artifact(p)+".zip"), files, s.time)
	}
	for _, page := range m.pages {
		page.name = "man/" + page.name
		files = append(files, page)
	}
	for _, completion := range m.completions {
		completion.name = "completions/" + completion.name
		files = append(files, completion)
	}
	return writeTarGz(filepath.Join(s.dist(), s.artifact(p)+".tar.gz"), files, s.time)
}

func (s *stage) packages(p platform, m manual) error {
	scratch, err := s.scratch("package_" + p.arch)
	if err != nil {
		return err
	}
	maker := packer{release: s.release, source: s.source(), program: s.program(p), arch: p.arch, scratch: scratch, manual: m}
	for _, format := range []string{"deb", "rpm"} {
		if err := maker.pack(format, s.dist()); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) image(programs map[platform]string) error {
	if len(programs) == 0 {
		return nil
	}
	maker := imageMaker{release: s.release, source: s.source(), programs: programs, scratch: s.dir}
	return maker.write(filepath.Join(s.dist(), fmt.Sprintf("%s_%s_image.tar", packageName, s.number())))
}
