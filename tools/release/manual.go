// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
)

// shells are those for which Caddy writes completions, and where packages put
// them.
var shells = []struct{ name, file, place string }{
	{"bash", "caddy.bash", "/usr/share/bash-completion/completions/caddy"},
	{"zsh", "_caddy", "/usr/share/zsh/site-functions/_caddy"},
	{"fish", "caddy.fish", "/usr/share/fish/vendor_completions.d/caddy.fish"},
}

// A manual is what the commands say about themselves.
type manual struct {
	pages       []file // caddy.8 and one for each subcommand, by file name
	completions map[string]file
}

// writeManual asks a binary of this machine for its man pages and completions.
func writeManual(ctx context.Context, binary, dir string, r release) (manual, error) {
	m := manual{completions: map[string]file{}}
	env := append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(r.time.Unix(), 10))
	pages := exec.CommandContext(ctx, binary, "manpage", "--directory", dir)
	pages.Env = env
	if out, err := pages.CombinedOutput(); err != nil {
		return m, fmt.Errorf("writing the man pages: %w: %s", err, out)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.8"))
	if err != nil {
		return m, err
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return m, err
		}
		m.pages = append(m.pages, file{name: filepath.Base(name), mode: 0o644, content: content})
	}
	for _, shell := range shells {
		script := exec.CommandContext(ctx, binary, "completion", shell.name)
		script.Env = env
		content, err := script.Output()
		if err != nil {
			return m, fmt.Errorf("writing the completion for %s: %w", shell.name, err)
		}
		m.completions[shell.name] = file{name: shell.file, mode: 0o644, content: content}
	}
	return m, nil
}

// here is the platform of this machine, on which a binary can be asked.
func here() platform { return platform{runtime.GOOS, runtime.GOARCH} }
