// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// dieWithParent makes the kernel end the process when the test dies without
// a chance to clean up (a panic, a timeout).
func dieWithParent(cmd *exec.Cmd) {
	attributes(cmd).Pdeathsig = syscall.SIGKILL
}

// attributes returns the attributes of a process that starts later.
func attributes(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	return cmd.SysProcAttr
}

// A processOwner is the user that a process runs as when it is not the user
// who runs the test. Its methods do nothing if it is nil.
type processOwner struct{ uid, gid int }

func newProcessOwner(account *user.User) (*processOwner, error) {
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return nil, fmt.Errorf("the id of user %q: %w", account.Username, err)
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return nil, fmt.Errorf("the group of user %q: %w", account.Username, err)
	}
	return &processOwner{uid, gid}, nil
}

// own gives the user a file or a folder.
func (o *processOwner) own(path string) error {
	if o == nil {
		return nil
	}
	return os.Chown(path, o.uid, o.gid)
}

// run makes the program run as the user. Unlike with runuser, the
// process id is the program's own.
func (o *processOwner) run(cmd *exec.Cmd) {
	if o == nil {
		return
	}
	attributes(cmd).Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
}
