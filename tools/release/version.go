// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A release is what is built: a commit under a version.
type release struct {
	root    string
	commit  string
	version string    // as Go writes it, with v
	time    time.Time // the commit's; all files have it
}

// number is the version as packages, images and charts write it.
func (r release) number() string { return strings.TrimPrefix(r.version, "v") }

func repository(ctx context.Context) (string, error) {
	return git(ctx, "", "rev-parse", "--show-toplevel")
}

// clean refuses a working tree with changes: they would not be in the release.
func clean(ctx context.Context, root string) error {
	changes, err := git(ctx, root, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changes != "" {
		return fmt.Errorf("a release is built from a commit, and the working tree has changes; commit or remove them:\n%s", changes)
	}
	return nil
}

// describe finds the commit and its version: the one that is given, else the
// tag of the commit, else a pseudo-version as Go makes it.
func describe(ctx context.Context, root, version string) (release, error) {
	r := release{root: root, version: version}
	line, err := git(ctx, root, "log", "-1", "--format=%H %ct")
	if err != nil {
		return r, err
	}
	commit, seconds, _ := strings.Cut(line, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return r, fmt.Errorf("reading the time of commit %s: %w", commit, err)
	}
	r.commit, r.time = commit, time.Unix(unix, 0).UTC()
	if r.version == "" {
		r.version = tagOr(ctx, root, module.PseudoVersion("v0", "", r.time, commit[:12]))
	}
	if !semver.IsValid(r.version) || semver.Canonical(r.version) != r.version {
		return r, fmt.Errorf("%q is not a version; write one like v1.2.3 or v1.2.3-rc.1", r.version)
	}
	return r, nil
}

// tagOr returns the newest version among the commit's tags, or another version.
func tagOr(ctx context.Context, root, otherwise string) string {
	tags, err := git(ctx, root, "tag", "--points-at", "HEAD")
	if err != nil {
		return otherwise
	}
	versions := strings.Fields(tags)
	semver.Sort(versions)
	if n := len(versions); n > 0 && semver.IsValid(versions[n-1]) {
		return versions[n-1]
	}
	return otherwise
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
		}
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
