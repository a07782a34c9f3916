// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package harness

import (
	"errors"
	"os/exec"
	"os/user"
)

// dieWithParent does nothing: only Linux can end a process with its parent.
// Elsewhere a test that dies without cleaning up leaves its processes behind.
func dieWithParent(*exec.Cmd) {}

// A processOwner is only needed by tests that run as root on Linux.
type processOwner struct{}

func newProcessOwner(account *user.User) (*processOwner, error) {
	return nil, errors.New("running a program as user " + account.Username + " is only implemented for Linux: do not run the tests as root")
}

func (*processOwner) own(string) error { return nil }
func (*processOwner) run(*exec.Cmd)    {}
