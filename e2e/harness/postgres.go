// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-gluu/gateway/internal/testenv"
)

// A Postgres is a PostgreSQL server that belongs to one test. It keeps its
// data across Stop, Kill and Start, and loses it when the test ends.
type Postgres struct {
	*Process
	Addr     string // host:port
	User     string
	Password string

	t     testing.TB
	bin   string        // the folder with its programs
	dir   string        // the folder with its data
	owner *processOwner // nil: the user who runs the test
}

// StartPostgres starts a server for the life of the test. The test skips
// itself if PostgreSQL is not installed.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	bin, owner := postgresPrograms(t)
	addr, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: only its owner may enter that one, and the server runs
	// as another user if the test runs as root.
	dir, err := os.MkdirTemp("", "postgres-")
	if err != nil {
		t.Fatal(err)
	}
	p := &Postgres{Addr: addr, User: "gateway", Password: rand.Text(), t: t, bin: bin, dir: dir, owner: owner}
	t.Cleanup(p.remove)
	p.initialize()
	p.Start()
	return p
}

// URL returns the connection string, with the password.
func (p *Postgres) URL() string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(p.User, p.Password), Host: p.Addr, Path: "postgres",
		RawQuery: "sslmode=disable",
	}).String()
}

// Query runs a statement with psql and returns its rows, one a line, columns
// separated by "|".
func (p *Postgres) Query(statement string) (rows string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
		"--set=ON_ERROR_STOP=1", "--command="+statement, p.URL())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: running %q: %w\n%s", statement, err, out)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// Start starts the server again after Stop or Kill, at the same address and
// with the same data.
func (p *Postgres) Start() {
	p.t.Helper()
	host, port, _ := net.SplitHostPort(p.Addr)
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), "-D", p.data(), "-h", host, "-p", port,
		"-c", "unix_socket_directories=", // loopback only, so that servers cannot collide in /tmp
		"-c", "fsync=off") // the data need not survive a crash of the machine
	p.prepare(cmd)
	process, err := startProcess("PostgreSQL", cmd)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Process = process
	if _, err := process.waitLine(func(line string) bool {
		return strings.HasSuffix(line, "database system is ready to accept connections")
	}); err != nil {
		p.t.Fatal(err)
	}
}

// Stop shuts the server down as an administrator does, without waiting for
// its clients to leave. (SIGTERM would wait for them.)
func (p *Postgres) Stop() error { return p.end(syscall.SIGINT) }

// Kill makes the server drop everything at once: no checkpoint, no word to
// its clients, so that the next Start recovers from the log as after a crash.
// SIGKILL would leave its child processes behind, which keep the data locked.
func (p *Postgres) Kill() error { return p.end(syscall.SIGQUIT) }

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// initialize creates an empty database whose only user has a password.
func (p *Postgres) initialize() {
	p.t.Helper()
	passwordFile := filepath.Join(p.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(p.Password+"\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	for _, path := range []string{p.dir, passwordFile} {
		if err := p.owner.own(path); err != nil {
			p.t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(p.bin, "initdb"), "--pgdata="+p.data(), "--username="+p.User, "--pwfile="+passwordFile,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	p.prepare(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// prepare makes a program run in the server's folder, as its user.
func (p *Postgres) prepare(cmd *exec.Cmd) {
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "HOME="+p.dir)
	p.owner.run(cmd)
}

func (p *Postgres) remove() {
	if p.Process != nil {
		if err := p.Kill(); err != nil {
			p.t.Error(err)
		}
	}
	if err := os.RemoveAll(p.dir); err != nil {
		p.t.Error(err)
	}
}

// postgresPrograms returns the folder with PostgreSQL's programs and the user
// to run them as. Neither initdb nor the server runs as root; Debian's package
// brings the user "postgres".
func postgresPrograms(t testing.TB) (bin string, owner *processOwner) {
	t.Helper()
	bin, err := postgresFolder()
	if err != nil {
		t.Skipf("NOT TESTED: what needs PostgreSQL: %v", err)
	}
	if os.Getuid() != 0 {
		return bin, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Skipf("NOT TESTED: what needs PostgreSQL: %v: a user to run it as, because it refuses to run as root: %v", ErrMissing, err)
	}
	if owner, err = newProcessOwner(account); err != nil {
		t.Fatal(err)
	}
	return bin, owner
}

// postgresFolder finds the newest version that Debian's packages installed,
// which are not in the PATH, or else what is in the PATH.
func postgresFolder() (string, error) {
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(installed) > 0 {
		return filepath.Dir(slices.MaxFunc(installed, func(a, b string) int { return postgresVersion(a) - postgresVersion(b) })), nil
	}
	inPath, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("%w: PostgreSQL (initdb)", ErrMissing)
	}
	if inPath, err = filepath.EvalSymlinks(inPath); err != nil {
		return "", err
	}
	return filepath.Dir(inPath), nil
}

// postgresVersion returns 15 for /usr/lib/postgresql/15/bin/initdb.
func postgresVersion(path string) int {
	version, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return version
}
