// SPDX-License-Identifier: Apache-2.0

// Package repo finds the repository that the tools work on.
package repo

import (
	"errors"
	"os"
	"path/filepath"
)

// Root returns the folder that holds xcaddy.json: the working directory or
// the nearest one above it.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "xcaddy.json")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no xcaddy.json here or above: run this within the repository")
		}
		dir = parent
	}
}
