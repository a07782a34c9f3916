// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// patience is how long anything may take on a slow machine before the test
// fails.
const patience = 60 * time.Second

// A Process is a program that runs beside the test.
type Process struct {
	Log *Log // both its output streams

	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{}
	err   error // how it ended; valid once ended is closed
}

// startProcess starts a program. Its standard input stays open until Stop,
// so that a program that reads it knows when the test is gone.
func startProcess(name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{Log: newLog(), name: name, cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.Log, p.Log
	dieWithParent(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// waitLine returns the first line of output that accept takes. It fails when
// the process ends first.
func (p *Process) waitLine(accept func(line string) bool) (string, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience,
		fmt.Errorf("%s was not ready within %s", p.name, patience))
	defer cancel()
	found := make(chan struct{})
	var line string
	var err error
	go func() {
		defer close(found)
		line, err = p.Log.wait(ctx, 0, accept)
	}()
	select {
	case <-found:
		return line, err
	case <-p.ended:
	}
	cancel()
	<-found
	if err == nil { // it said so, then ended
		return line, nil
	}
	return "", fmt.Errorf("%s ended at its start (%w); it printed:\n%s", p.name, p.err, p.Log)
}

// Stop asks the process to end, and kills it if it does not.
func (p *Process) Stop() error {
	p.stdin.Close()
	return p.end(syscall.SIGTERM)
}

// Kill ends the process at once, as a power failure would.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

func (p *Process) end(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not end within %s of being asked", p.name, patience)
	}
}
