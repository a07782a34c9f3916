// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/caddy-gluu/gateway/tools/internal/recipe"
)

// A stage is the folder in which a release is built:
//
//	gateway/      the commit, without anything that is not committed
//	buildenv_*/   xcaddy's main module, which replaces the gateway by ../gateway
//	bin/          one folder a platform
//	dist/         what is shipped
//
// The replacement is relative, because Go records it in the binary: an
// absolute one would differ from machine to machine.
type stage struct {
	release
	dir string
}

func newStage(ctx context.Context, r release) (*stage, error) {
	dir, err := os.MkdirTemp("", "caddy-gluu-release")
	if err != nil {
		return nil, err
	}
	s := &stage{release: r, dir: dir}
	if err := s.fill(ctx); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *stage) remove()          { _ = os.RemoveAll(s.dir) }
func (s *stage) source() string   { return filepath.Join(s.dir, "gateway") }
func (s *stage) dist() string     { return filepath.Join(s.dir, "dist") }
func (s *stage) buildEnv() string { return filepath.Join(s.dir, "buildenv") }

// program is the binary of a platform.
func (s *stage) program(p platform) string {
	return filepath.Join(s.dir, "bin", p.os+"_"+p.arch, p.binary())
}

func (s *stage) fill(ctx context.Context) error {
	for _, dir := range []string{s.source(), s.dist()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	archive := filepath.Join(s.dir, "gateway.tar")
	if _, err := git(ctx, s.root, "archive", "--format=tar", "-o", archive, s.commit); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "tar", "-xf", archive, "-C", s.source()).CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking commit %s: %w: %s", s.commit, err, out)
	}
	return os.Remove(archive)
}

// prepare has xcaddy write the main module: Caddy and the plugins in the
// versions of xcaddy.json. It is written once and compiled for each platform.
func (s *stage) prepare(ctx context.Context) error {
	builder, err := recipe.Load(filepath.Join(s.source(), "xcaddy.json"), "../gateway")
	if err != nil {
		return err
	}
	builder.SkipBuild, builder.SkipCleanup = true, true
	restore, err := s.enter()
	if err != nil {
		return err
	}
	defer restore()
	var progress bytes.Buffer
	log.SetOutput(&progress)
	if err := builder.Build(ctx, filepath.Join(s.dir, "unused")); err != nil {
		os.Stderr.Write(progress.Bytes())
		return fmt.Errorf("xcaddy: %w", err)
	}
	return s.adopt(ctx)
}

// enter makes xcaddy write into the stage: it uses the folder for temporary
// files, or on macOS the working directory.
func (s *stage) enter() (restore func(), err error) {
	before, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	temp, had := os.LookupEnv("TMPDIR")
	if err := os.Setenv("TMPDIR", s.dir); err != nil {
		return nil, err
	}
	if err := os.Chdir(s.dir); err != nil {
		return nil, err
	}
	return func() {
		_ = os.Chdir(before)
		if had {
			_ = os.Setenv("TMPDIR", temp)
		} else {
			_ = os.Unsetenv("TMPDIR")
		}
	}, nil
}

// adopt renames the folder that xcaddy made, and completes its go.sum.
func (s *stage) adopt(ctx context.Context) error {
	made, err := filepath.Glob(filepath.Join(s.dir, "buildenv_*"))
	if err != nil {
		return err
	}
	if len(made) != 1 {
		return fmt.Errorf("xcaddy left %d build environments in %s, want one", len(made), s.dir)
	}
	if err := os.Rename(made[0], s.buildEnv()); err != nil {
		return err
	}
	return s.goCommand(ctx, nil, "mod", "tidy", "-e")
}

// goCommand runs the go command on the main module.
func (s *stage) goCommand(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = s.buildEnv()
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, out)
	}
	return nil
}
