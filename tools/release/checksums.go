// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// checksumsFile is read by `sha256sum --check`.
const checksumsFile = "SHA256SUMS"

// writeChecksums lists the files of a folder with their SHA-256.
func writeChecksums(dir string) error {
	sums, err := checksums(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, checksumsFile), sums, 0o644)
}

func checksums(dir string) ([]byte, error) {
	entries, err := os.ReadDir(dir) // by name
	if err != nil {
		return nil, err
	}
	var list bytes.Buffer
	for _, entry := range entries {
		if entry.Name() == checksumsFile {
			continue
		}
		sum, err := sumOf(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&list, "%x  %s\n", sum, entry.Name())
	}
	return list.Bytes(), nil
}

func sumOf(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	digest := sha256.New()
	_, err = io.Copy(digest, f)
	return digest.Sum(nil), err
}

// compare reports whether two folders hold the same files, byte for byte.
func compare(first, second string) error {
	a, err := checksums(first)
	if err != nil {
		return err
	}
	b, err := checksums(second)
	if err != nil {
		return err
	}
	if bytes.Equal(a, b) {
		fmt.Printf("built twice, and the same:\n%s", a)
		return nil
	}
	return errors.New("two builds of one commit differ:\n" + string(a) + "\n" + string(b))
}
