// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var commitTime = time.Unix(1795313031, 0).UTC()

// TestArchivesDependOnTheFilesAlone writes the same files in another order, at
// another time and from another folder.
func TestArchivesDependOnTheFilesAlone(t *testing.T) {
	files := func() []file {
		program := filepath.Join(t.TempDir(), "caddy")
		if err := os.WriteFile(program, []byte("a program"), 0o600); err != nil {
			t.Fatal(err)
		}
		return []file{
			{name: "caddy", mode: 0o755, source: program},
			{name: "LICENSE", mode: 0o644, content: []byte("a licence")},
		}
	}
	for name, write := range map[string]func(string, []file, time.Time) error{"tar.gz": writeTarGz, "zip": writeZip} {
		t.Run(name, func(t *testing.T) {
			var written [][]byte
			for _, reverse := range []bool{false, true} {
				list := files()
				if reverse {
					slices.Reverse(list)
				}
				path := filepath.Join(t.TempDir(), "archive")
				if err := write(path, list, commitTime); err != nil {
					t.Fatal(err)
				}
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				written = append(written, content)
			}
			if !bytes.Equal(written[0], written[1]) {
				t.Error("two archives of the same files differ")
			}
		})
	}
}

func TestWhatAnArchiveSays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive")
	if err := writeTarGz(path, []file{
		{name: "caddy", mode: 0o755, content: []byte("a program")},
		{name: "tmp", dir: true, mode: 0o777 | os.ModeSticky, owner: 7},
	}, commitTime); err != nil {
		t.Fatal(err)
	}
	headers, contents := readTarGz(t, path)
	if h := headers["caddy"]; h == nil || h.Mode != 0o755 || !h.ModTime.Equal(commitTime) || h.Uid != 0 || h.Uname != "" {
		t.Errorf("got %+v", h)
	}
	if got := contents["caddy"]; got != "a program" {
		t.Errorf("got %q", got)
	}
	if h := headers["tmp/"]; h == nil || h.Typeflag != tar.TypeDir || h.Mode != 0o1777 || h.Uid != 7 {
		t.Errorf("got %+v", h)
	}
}

func readTarGz(t *testing.T, path string) (map[string]*tar.Header, map[string]string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return untarGz(t, content)
}

func untarGz(t *testing.T, content []byte) (map[string]*tar.Header, map[string]string) {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if !plain.ModTime.IsZero() {
		t.Errorf("gzip's header names the time %v", plain.ModTime)
	}
	headers, contents := map[string]*tar.Header{}, map[string]string{}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return headers, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		headers[header.Name], contents[header.Name] = header, string(text)
	}
}
