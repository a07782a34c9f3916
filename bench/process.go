// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-gluu/gateway/internal/testenv"
)

// proxy is a running Caddy: the process, the address it serves at, and where
// its admin endpoint answers.
type proxy struct {
	cmd   *exec.Cmd
	addr  string
	admin string
	log   string
}

// startProxy runs the binary with a Caddyfile on the given core and waits
// until its site answers. The Caddyfile may use {{addr}} for the address of
// the site and {{admin}} for that of the admin endpoint.
func startProxy(binary, dir, name, caddyfile string, core int) (*proxy, error) {
	return startAdapted(binary, dir, name, caddyfile, "caddyfile", core)
}

// startAdapted starts a proxy with a configuration in the format of an adapter.
func startAdapted(binary, dir, name, config, adapter string, core int) (*proxy, error) {
	p := &proxy{addr: freeAddr(), admin: freeAddr(), log: filepath.Join(dir, name+".log")}
	text := strings.NewReplacer("{{addr}}", p.addr, "{{admin}}", p.admin).Replace(config)
	file := filepath.Join(dir, name+"."+adapter)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	logFile, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	p.cmd = pinned(core, binary, "run", "--config", file, "--adapter", adapter)
	p.cmd.Env = append(os.Environ(),
		"KONG_PROXY_LISTEN="+p.addr, "CADDY_ADMIN="+p.admin, // for an adapter of Kong's files
		"XDG_DATA_HOME="+filepath.Join(dir, name, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(dir, name, "config"))
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := waitFor(time.Minute, func() bool { return listening(p.addr) && listening(p.admin) }); err != nil {
		p.stop()
		text, _ := os.ReadFile(p.log)
		return nil, fmt.Errorf("%s did not come up: %w\n%s", name, err, text)
	}
	return p, nil
}

// withLog adds the end of what the process has logged to an error.
func (p *proxy) withLog(err error) error {
	const most = 2000
	text, readErr := os.ReadFile(p.log)
	if readErr != nil || len(text) == 0 {
		return err
	}
	return fmt.Errorf("%w; its log ends with:\n%s", err, text[max(0, len(text)-most):])
}

// stop ends the process and waits for it.
func (p *proxy) stop() {
	if p == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
}

// cpuTime is the user and system time that the process has used so far, by
// the kernel's clock for that process (clock_getcpuclockid(3)).
func (p *proxy) cpuTime() (time.Duration, error) {
	const processScheduled = 2 // CPUCLOCK_SCHED of the whole process, in nanoseconds
	clock := int32((^p.cmd.Process.Pid)<<3 | processScheduled)
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("reading the CPU clock of process %d: %w", p.cmd.Process.Pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// memory is what the Go runtime of the process says of itself.
type memory struct {
	Mallocs   uint64
	HeapInuse uint64
	NumGC     uint32
}

// memory asks the admin endpoint, where Caddy publishes expvar.
func (p *proxy) memory() (memory, error) {
	if p.admin == "" {
		return memory{}, nil // another program than Caddy does not tell
	}
	response, err := http.Get("http://" + p.admin + "/debug/vars")
	if err != nil {
		return memory{}, err
	}
	defer response.Body.Close()
	var vars struct {
		MemStats memory `json:"memstats"`
	}
	return vars.MemStats, json.NewDecoder(response.Body).Decode(&vars)
}

// goroutines counts them through the admin endpoint's profile.
func (p *proxy) goroutines() (int, error) {
	response, err := http.Get("http://" + p.admin + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return 0, err
	}
	// goroutine profile: total 42
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first[strings.LastIndexByte(first, ' ')+1:])
}

// residentBytes is the resident set of the process, from /proc.
func (p *proxy) residentBytes() (int64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0, errors.New("statm has fewer than two fields")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// pinned is a command that runs on one core only; core -1 leaves it free.
// The affinity is set in a copy of this program that then becomes the command,
// so that the Go runtime of a pinned Caddy sees one CPU from its start.
func pinned(core int, name string, args ...string) *exec.Cmd {
	if core < 0 || runtime.NumCPU() < 2 {
		return exec.Command(name, args...)
	}
	self, err := os.Executable()
	if err != nil {
		return exec.Command(name, args...)
	}
	return exec.Command(self, append([]string{pinRole, strconv.Itoa(core), name}, args...)...)
}

const pinRole = "run-on-core"

// runOnCore is the other side of pinned.
func runOnCore(args []string) error {
	core, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	if err := pinSelf(core); err != nil {
		return err
	}
	path, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	return syscall.Exec(path, args[1:], os.Environ())
}

// pinSelf restricts the calling thread, and so what it executes, to a core.
func pinSelf(core int) error {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(core)
	return unix.SchedSetaffinity(0, &set)
}

func freeAddr() string {
	addr, err := testenv.FreeAddress()
	if err != nil {
		panic(err) // loopback has no free port: nothing can run
	}
	return addr
}

func listening(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// waitFor polls a condition until it holds or the limit has passed.
func waitFor(limit time.Duration, condition func() bool) error {
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %s in vain", limit)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// leaveCore keeps this process off the core that the pair shares, all its
// threads of now and those that they start.
func leaveCore(core int) error {
	if runtime.NumCPU() < 2 {
		return nil
	}
	var set unix.CPUSet
	for other := range runtime.NumCPU() {
		if other != core {
			set.Set(other)
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		// A thread that has just ended needs no affinity.
		if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}
