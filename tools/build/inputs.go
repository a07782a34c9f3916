// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
)

// fingerprint is a digest of everything that decides what the binary is: the
// toolchain, xcaddy.json, the pinned modules, and each source and embedded
// file of this module that the root package brings in. Tests are not part of it.
func fingerprint(ctx context.Context, root string, race bool) (string, error) {
	files, err := sources(ctx, root)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"xcaddy.json", "go.mod", "go.sum", "tools/go.mod"} {
		files = append(files, filepath.Join(root, name))
	}
	sort.Strings(files)

	digest := sha256.New()
	fmt.Fprintln(digest, runtime.Version(), runtime.GOOS, runtime.GOARCH, race)
	for _, file := range files {
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return "", err
		}
		content, err := os.Open(file)
		if err != nil {
			return "", err
		}
		one := sha256.New()
		_, err = io.Copy(one, content)
		content.Close()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(digest, "%x %s\n", one.Sum(nil), filepath.ToSlash(relative))
	}
	return fmt.Sprintf("%x\n", digest.Sum(nil)), nil
}

// sources lists the files of this module that the root package depends on.
func sources(ctx context.Context, root string) ([]string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Module,GoFiles,CgoFiles,EmbedFiles", ".")
	list.Dir = root
	var complaint strings.Builder
	list.Stderr = &complaint
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the sources: %w\n%s", err, complaint.String())
	}
	var files []string
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var pkg struct {
			Dir                           string
			Module                        *struct{ Main bool }
			GoFiles, CgoFiles, EmbedFiles []string
		}
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return files, nil
		} else if err != nil {
			return nil, err
		}
		if pkg.Module == nil || !pkg.Module.Main {
			continue
		}
		for _, names := range [][]string{pkg.GoFiles, pkg.CgoFiles, pkg.EmbedFiles} {
			for _, name := range names {
				files = append(files, filepath.Join(pkg.Dir, name))
			}
		}
	}
}

func upToDate(binary, memory, inputs string) bool {
	if _, err := os.Stat(binary); err != nil {
		return false
	}
	known, err := os.ReadFile(memory)
	return err == nil && string(known) == inputs
}
