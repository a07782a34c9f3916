// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	if len(os.Args) > 3 && os.Args[1] == pinRole {
		fail(runOnCore(os.Args[2:])) // returns only if it could not become the command
	}
	var cfg settings
	flag.StringVar(&cfg.binary, "binary", "bin/caddy", "the Caddy binary to measure")
	flag.IntVar(&cfg.rounds, "rounds", 5, "concurrent pairs for each scenario")
	flag.DurationVar(&cfg.length, "length", 2*time.Second, "length of one measurement")
	flag.IntVar(&cfg.connections, "connections", 8, "connections to each proxy, where requests are to queue up")
	flag.IntVar(&cfg.rate, "rate", 300, "requests a second to each proxy while latency is measured")
	tokens := flag.Uint64("tokens", 1_000_000, "tokens of the scenario with many")
	only := flag.String("scenarios", "", "run only the scenarios whose name matches this regular expression")
	opa := flag.String("opa", "", "an OPA program, for the scenario with a server: go -C tools/opa build -o /tmp/opa github.com/open-policy-agent/opa")
	oauth2Proxy := flag.String("oauth2-proxy", "", "an oauth2-proxy program, for a scenario with it: go install github.com/oauth2-proxy/oauth2-proxy/v7@v7.8.1")
	soakFor := flag.Duration("soak", 0, "run all scenarios at once, at the fixed rate, for this long instead of the table")
	servers := flag.Bool("servers", false, "measure the authorization server beside npm's oidc-provider and Keycloak instead, those whose names match -scenarios")
	logins := flag.Bool("logins", false, "measure what a login costs instead")
	store := flag.String("store", "", "the store of that authorization server, as in 'redis redis://127.0.0.1:6379', default embedded; what it holds stays there")
	profile := flag.Duration("profile", 0, "write a CPU profile of this length of each scenario's gateway into the current folder")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	wanted, err := regexp.Compile(*only)
	fail(err)
	if *servers {
		dir, err := os.MkdirTemp("", "bench-")
		fail(err)
		err = leaveCore(cfg.core)
		if err == nil {
			err = authServers(ctx, dir, cfg, *store, wanted)
		}
		_ = os.RemoveAll(dir)
		fail(err)
		return
	}
	env, err := newEnvironment(cfg, *tokens)
	fail(err)
	defer env.close()
	env.oauth2Proxy = *oauth2Proxy
	if *opa != "" {
		fail(env.startOPA(*opa))
	}
	all, err := env.scenarios()
	if err == nil {
		all = matching(all, wanted)
		switch {
		case *logins:
			err = loginCost(ctx, env, cfg)
		case *soakFor > 0:
			err = soak(ctx, env, all, cfg, *soakFor)
		case *profile > 0:
			err = profiles(ctx, env, all, cfg, *profile)
		default:
			err = table(ctx, env, all, cfg)
		}
	}
	if err != nil {
		env.close()
		fail(err)
	}
}

// newEnvironment starts the servers that the pairs share. The load generator, the
// upstream and the authorization servers keep off the core of the pair.
func newEnvironment(cfg settings, many uint64) (*environment, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	env := &environment{dir: dir, tokens: max(many, 1)}
	if err := leaveCore(cfg.core); err != nil {
		return env, err
	}
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return env, err
	}
	env.upstream = api.Addr().String()
	go func() { _ = upstream(api) }()
	tokens, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return env, err
	}
	if env.issuer, err = newIssuer(tokens); err != nil {
		return env, err
	}
	env.embedded, err = startEmbedded(cfg.binary, dir, runtime.NumCPU()-1)
	return env, err
}

func (env *environment) close() {
	if env.embedded != nil {
		env.embedded.process.stop()
	}
	if env.stopOPA != nil {
		env.stopOPA()
	}
	_ = os.RemoveAll(env.dir)
}

// table measures the scenarios one after another and prints a row as soon as
// it is known.
func table(ctx context.Context, env *environment, all []scenario, cfg settings) error {
	fmt.Printf("%s %s/%s, %d cores; %d pairs of %s with one connection and with %d, latency at %d requests/s each\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cfg.rounds, cfg.length, cfg.connections, cfg.rate)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprintln(out, "scenario\tCPU ratio\tlowest..highest\tcrowded\tCPU plain\tCPU gateway\treq/s plain\treq/s gateway\tp50 plain\tp50 gateway\tp99 plain\tp99 gateway\tallocs plain\tallocs gateway\t")
	var failed []string
	for _, s := range all {
		fmt.Fprintf(os.Stderr, "measuring %s ...\n", s.name)
		r, err := measure(ctx, env, s, cfg)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = append(failed, err.Error())
			continue
		}
		fmt.Fprintf(out, "%s\t%.3f\t%.3f..%.3f\t%.3f\t%.1fµs\t%.1fµs\t%.0f\t%.0f\t%.2fms\t%.2fms\t%.2fms\t%.2fms\t%.1f\t%.1f\t\n",
			r.scenario, r.ratio, r.low, r.high, r.crowded, micros(r.plain.cpu), micros(r.gateway.cpu), r.plain.perSecond, r.gateway.perSecond,
			millis(r.plain.p50), millis(r.gateway.p50), millis(r.plain.p99), millis(r.gateway.p99), r.plain.allocs, r.gateway.allocs)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d scenarios failed:\n%s", len(failed), strings.Join(failed, "\n"))
	}
	return nil
}

func matching(all []scenario, wanted *regexp.Regexp) []scenario {
	var kept []scenario
	for _, s := range all {
		if wanted.MatchString(s.name) {
			kept = append(kept, s)
		}
	}
	return kept
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
