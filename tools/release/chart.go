// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// chartFiles reads the Helm chart and writes the release's version into it.
func chartFiles(source string, r release) ([]file, error) {
	files, err := tree(filepath.Join(source, "packaging", "chart"), packageName)
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		if f.name != packageName+"/Chart.yaml" {
			continue
		}
		content, err := os.ReadFile(f.source)
		if err != nil {
			return nil, err
		}
		for _, key := range []string{"version", "appVersion"} {
			if content, err = setVersion(content, key, r.number()); err != nil {
				return nil, err
			}
		}
		files[i].source, files[i].content = "", content
	}
	return files, nil
}

// setVersion replaces the placeholder 0.0.0 of one key.
func setVersion(content []byte, key, version string) ([]byte, error) {
	line := []byte("\n" + key + ": 0.0.0\n")
	if bytes.Count(content, line) != 1 {
		return nil, fmt.Errorf("the file Chart.yaml has no line %q", strings.TrimSpace(string(line)))
	}
	return bytes.Replace(content, line, []byte("\n"+key+": "+version+"\n"), 1), nil
}

// tree lists the files of a folder, below a prefix.
func tree(dir, prefix string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(relative)
		if prefix != "" {
			name = prefix + "/" + name
		}
		files = append(files, file{name: name, mode: 0o644, source: path})
		return nil
	})
	return files, err
}
