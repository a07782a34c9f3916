// SPDX-License-Identifier: Apache-2.0

// Command build feeds the repository's xcaddy.json to xcaddy and writes the
// standard binary: Caddy with this working tree and the plugins beside it.
//
//	go -C tools run ./build [-o bin/caddy] [-race] [-force] [-v]
//
// A build takes a minute even if nothing changed, because xcaddy resolves all
// modules again. So the inputs are recorded beside the binary, and a build with
// the same inputs is skipped.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/caddyserver/xcaddy"

	"github.com/caddy-gluu/gateway/tools/internal/recipe"
	"github.com/caddy-gluu/gateway/tools/internal/repo"
)

func main() {
	output := flag.String("o", "bin/caddy", "the binary, relative to the repository")
	race := flag.Bool("race", false, "build with the race detector")
	force := flag.Bool("force", false, "build even if nothing changed")
	verbose := flag.Bool("v", false, "show what xcaddy does")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *output, *race, *force, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, output string, race, force, verbose bool) error {
	root, err := repo.Root()
	if err != nil {
		return err
	}
	builder, err := recipe.Load(filepath.Join(root, "xcaddy.json"), root)
	if err != nil {
		return err
	}
	builder.RaceDetector = race
	binary := filepath.Join(root, output)

	inputs, err := fingerprint(ctx, root, race)
	if err != nil {
		return err
	}
	memory := filepath.Join(filepath.Dir(binary), "."+filepath.Base(binary)+".inputs")
	if !force && upToDate(binary, memory, inputs) {
		fmt.Printf("%s is up to date\n", output)
		return nil
	}

	started := time.Now()
	fmt.Printf("building %s with Caddy %s (the first time takes some minutes)\n", output, builder.CaddyVersion)
	if err := build(ctx, builder, binary, verbose); err != nil {
		return err
	}
	if err := recipe.CheckVersions(filepath.Join(root, "go.mod"), binary); err != nil {
		return err
	}
	if err := os.WriteFile(memory, []byte(inputs), 0o644); err != nil {
		return err
	}
	fmt.Printf("built %s in %s\n", output, time.Since(started).Round(time.Second))
	return nil
}

// build runs xcaddy and moves the binary into place only when it is whole:
// a gateway that runs the old binary is not disturbed. Two builds at once do not
// disturb each other either: the last one wins.
func build(ctx context.Context, builder xcaddy.Builder, binary string, verbose bool) error {
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return err
	}
	var progress bytes.Buffer
	log.SetOutput(io.Writer(&progress))
	if verbose {
		log.SetOutput(os.Stderr)
	}
	unfinished := fmt.Sprintf("%s.%d.new", binary, os.Getpid())
	defer os.Remove(unfinished) // after a failure; a success has moved it
	if err := builder.Build(ctx, unfinished); err != nil {
		os.Stderr.Write(progress.Bytes())
		return fmt.Errorf("xcaddy: %w", err)
	}
	return os.Rename(unfinished, binary)
}
