// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.out, "o", "dist", "the folder for what is built, relative to the repository; it is replaced")
	flag.StringVar(&o.version, "version", "", "the version, for example v1.2.3; default: the tag of the commit, or a pseudo-version")
	platforms := flag.String("platforms", strings.Join(platformNames(everyPlatform), ","), "what to build for")
	flag.BoolVar(&o.verify, "verify", false, "build everything twice and compare")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, *platforms); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	out, version string
	verify       bool
}

func run(ctx context.Context, o options, platforms string) error {
	root, err := repository(ctx)
	if err != nil {
		return err
	}
	wanted, err := parsePlatforms(platforms)
	if err != nil {
		return err
	}
	if err := clean(ctx, root); err != nil {
		return err
	}
	r, err := describe(ctx, root, o.version)
	if err != nil {
		return err
	}
	out := o.out
	if !filepath.IsAbs(out) {
		out = filepath.Join(root, out)
	}
	if err := buildInto(ctx, r, wanted, out); err != nil {
		return err
	}
	if !o.verify {
		return nil
	}
	second, err := os.MkdirTemp("", "release-verify")
	if err != nil {
		return err
	}
	defer os.RemoveAll(second)
	if err := buildInto(ctx, r, wanted, filepath.Join(second, "dist")); err != nil {
		return err
	}
	return compare(out, filepath.Join(second, "dist"))
}

// buildInto builds a whole release and replaces a folder by it.
func buildInto(ctx context.Context, r release, platforms []platform, out string) error {
	started := time.Now()
	stage, err := newStage(ctx, r)
	if err != nil {
		return err
	}
	defer stage.remove()
	if err := ship(ctx, stage, platforms); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return fmt.Errorf("replacing %s: %w", out, err)
	}
	if err := moveAll(stage.dist(), out); err != nil {
		return err
	}
	fmt.Printf("%s %s in %s\n", out, r.version, time.Since(started).Round(time.Second))
	return nil
}

// moveAll copies the files of a flat folder: the two may be on different disks.
func moveAll(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := copyFile(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
