// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nonroot is the user and the group in the image. The number is written, since
// Kubernetes' runAsNonRoot cannot look up a name.
const nonroot = 65532

// An imageMaker makes the image from an empty base: the binary, its
// configuration, a user and the certificates of public authorities.
type imageMaker struct {
	release
	source   string
	programs map[platform]string // the binaries of Linux
	scratch  string
}

// write writes an OCI archive that holds the image of each architecture.
func (m imageMaker) write(path string) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range everyPlatform {
		program, ok := m.programs[p]
		if !ok {
			continue
		}
		image, err := m.image(p, program)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.os, Architecture: p.arch},
				MediaType: types.OCIManifestSchema1},
		})
	}
	index = mutate.Annotations(index, m.annotations()).(v1.ImageIndex)
	dir := filepath.Join(m.scratch, "image")
	into, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	// The name by which engines know the image after loading it.
	name := layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": m.number(),
		"io.containerd.image.name":          "docker.io/library/" + packageName + ":" + m.number(),
	})
	if err := into.AppendIndex(index, name); err != nil {
		return err
	}
	files, err := tree(dir, "")
	if err != nil {
		return err
	}
	return writeFile(path, func(w io.Writer) error { return writeTar(w, files, m.time) })
}

func (m imageMaker) annotations() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":    "Gluu Gateway on Caddy",
		"org.opencontainers.image.version":  m.number(),
		"org.opencontainers.image.revision": m.commit,
		"org.opencontainers.image.created":  m.time.Format(time.RFC3339),
		"org.opencontainers.image.source":   "https://github.com/caddy-gluu/gateway",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
}

func (m imageMaker) image(p platform, program string) (v1.Image, error) {
	configuration, err := os.ReadFile(filepath.Join(m.source, "packaging", "image", "Caddyfile"))
	if err != nil {
		return nil, err
	}
	// What rarely changes goes first, so that it is stored and fetched once.
	image := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	for _, files := range [][]file{
		system(configuration),
		{{name: "usr", dir: true, mode: 0o755}, {name: "usr/bin", dir: true, mode: 0o755},
			{name: "usr/bin/caddy", mode: 0o755, source: program}},
	} {
		layer, err := m.layer(files)
		if err != nil {
			return nil, err
		}
		if image, err = mutate.Append(image, mutate.Addendum{
			Layer: layer, MediaType: types.OCILayer,
			History: v1.History{Created: v1.Time{Time: m.time}, CreatedBy: "make release"},
		}); err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = p.os, p.arch, v1.Time{Time: m.time}
	config.Config = m.settings()
	return mutate.ConfigFile(image, config)
}

// settings are those of Caddy's own image, but for the user and the ports: a
// user other than root may not be allowed to open those below 1024.
func (m imageMaker) settings() v1.Config {
	return v1.Config{
		User:       "65532:65532",
		WorkingDir: "/srv",
		Env: []string{
			"PATH=/usr/bin", "XDG_CONFIG_HOME=/config", "XDG_DATA_HOME=/data", "HOME=/data",
			"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
		},
		Entrypoint:   []string{"/usr/bin/caddy"},
		Cmd:          []string{"run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8443/tcp": {}, "8443/udp": {}},
		Volumes:      map[string]struct{}{"/data": {}, "/config": {}},
		Labels:       m.annotations(),
	}
}

func (m imageMaker) layer(files []file) (v1.Layer, error) {
	var content bytes.Buffer
	if err := writeTar(&content, files, m.time); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// system is the part of the image that is not Caddy.
func system(configuration []byte) []file {
	directory := func(name string, mode os.FileMode, owner int) file {
		return file{name: name, dir: true, mode: mode, owner: owner}
	}
	return []file{
		directory("etc", 0o755, 0), directory("etc/caddy", 0o755, 0),
		directory("etc/ssl", 0o755, 0), directory("etc/ssl/certs", 0o755, 0),
		directory("data", 0o700, nonroot), directory("config", 0o700, nonroot),
		directory("srv", 0o755, 0), directory("tmp", 0o777|os.ModeSticky, 0),
		{name: "etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/data:/sbin/nologin\n")},
		{name: "etc/group", mode: 0o644, content: []byte("root:x:0:\nnonroot:x:65532:\n")},
		// Engines mount their own over it; without one there would be no localhost.
		{name: "etc/hosts", mode: 0o644, content: []byte("127.0.0.1 localhost\n::1 localhost\n")},
		{name: "etc/nsswitch.conf", mode: 0o644, content: []byte("hosts: files dns\n")},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: authorities()},
		{name: "etc/caddy/Caddyfile", mode: 0o644, content: configuration},
	}
}

// authorities are the certificates that Mozilla trusts, in the version of
// golang.org/x/crypto that go.mod pins. Those that Mozilla trusts only for
// certificates up to a date are left out: a PEM file cannot say so.
func authorities() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		// Writing to memory cannot fail.
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
	}
	return out.Bytes()
}
