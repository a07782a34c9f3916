// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"runtime"
	"time"
)

// startOPA starts an OPA server with the policy of the scenarios, off the core of the
// pair.
func (env *environment) startOPA(binary string) error {
	policy, err := env.writePolicy()
	if err != nil {
		return err
	}
	addr := freeAddr()
	cmd := pinned(runtime.NumCPU()-1, binary, "run", "--server", "--disable-telemetry", "--log-level", "error", "--addr", addr, policy)
	if err := cmd.Start(); err != nil {
		return err
	}
	env.stopOPA = func() { end(cmd) }
	env.opa = "http://" + addr + "/v1/data/httpapi/authz"
	return waitFor(20*time.Second, func() bool { return listening(addr) })
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
