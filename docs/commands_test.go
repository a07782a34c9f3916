// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"regexp"
	"strings"
	"testing"
)

var prompt = regexp.MustCompile(`(?m)^\s*\$ .*$`)

// Commands stand in blocks of their own, without a prompt, so that they can be
// copied. The sessions of policies.md are what a test runs and compares.
func TestCommandsCanBeCopied(t *testing.T) {
	blocks := 0
	for file, page := range files(t, ".md") {
		for _, block := range codeBlock.FindAllString(page, -1) {
			blocks++
			if strings.HasPrefix(block, "```console") && strings.HasSuffix(file, "/policies.md") {
				continue
			}
			if line := prompt.FindString(block); line != "" {
				t.Errorf("%s: %q has a prompt: write the command into a block of its own", file, line)
			}
		}
	}
	if blocks < 50 {
		t.Errorf("%d blocks of code", blocks)
	}
}
