// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// sampleImage writes an image of a program, for two architectures.
func sampleImage(t *testing.T, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	maker := imageMaker{
		release: release{version: "v1.2.3", commit: "0123456789abcdef", time: commitTime},
		source:  sources, scratch: t.TempDir(),
		programs: map[platform]string{{"linux", "amd64"}: program, {"linux", "arm64"}: program},
	}
	if err := maker.write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// openImage unpacks an OCI archive and returns its index of architectures.
func openImage(t *testing.T, archive string) v1.ImageIndex {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("unpacking the image: %v: %s", err, out)
	}
	outer, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := outer.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("got %+v (%v), want one named image", manifest, err)
	}
	if got := manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"]; got != "1.2.3" {
		t.Errorf("the image is named %q", got)
	}
	inner, err := outer.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return inner
}

// imageFor returns the image of an architecture.
func imageFor(t *testing.T, index v1.ImageIndex, arch string) v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		if m.Platform != nil && m.Platform.OS == "linux" && m.Platform.Architecture == arch {
			image, err := index.Image(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return image
		}
	}
	t.Fatalf("no image for %s among %+v", arch, manifest.Manifests)
	return nil
}

func TestTheImage(t *testing.T) {
	program := filepath.Join(t.TempDir(), "caddy")
	if err := os.WriteFile(program, []byte("a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	archive := sampleImage(t, program)
	index := openImage(t, archive)
	if err := validate.Index(index); err != nil {
		t.Errorf("not a valid image: %v", err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		config, err := imageFor(t, index, arch).ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != arch || config.Config.User != "65532:65532" || !config.Created.Equal(commitTime) {
			t.Errorf("%s: got %+v", arch, config)
		}
	}
	first, second := read(t, archive), read(t, sampleImage(t, program))
	if !bytes.Equal(first, second) {
		t.Error("two images of the same files differ")
	}
}

// unpackImage writes the files of an image into a folder.
func unpackImage(t *testing.T, image v1.Image, into string) {
	t.Helper()
	files := mutate.Extract(image)
	defer files.Close()
	unpack := exec.Command("tar", "-x", "--same-owner", "-p", "-f", "-", "-C", into)
	unpack.Stdin = files
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpacking the layers: %v: %s", err, out)
	}
	// tar stops reading before the padding.
	_, _ = io.Copy(io.Discard, files)
}

func TestTheAuthoritiesOfTheImage(t *testing.T) {
	rest, count := authorities(), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !certificate.IsCA {
			t.Errorf("got %v (%v), want an authority", certificate, err)
		}
		count++
	}
	if count < 100 || len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("got %d certificates and %d more bytes, want Mozilla's list", count, len(rest))
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
