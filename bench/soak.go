// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// soak runs the gateways of all scenarios at once, each at the fixed rate, and
// prints minute by minute what would grow if something leaked: resident
// memory, heap, goroutines and latency.
func soak(ctx context.Context, env *environment, all []scenario, cfg settings, length time.Duration) error {
	var running []side
	var names []string
	for _, s := range all {
		if s.site == "" && s.kong == 0 {
			continue // not the gateway
		}
		p, stop, err := startSingle(ctx, env, s, cfg)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		defer stop()
		running, names = append(running, p), append(names, s.name)
	}
	fmt.Printf("%d scenarios at once, %d requests/s each, for %s\n\n%-45s %8s %10s %10s %11s %10s %10s %9s\n", len(running), cfg.rate, length,
		"scenario", "elapsed", "resident", "heap", "goroutines", "p50", "p99", "requests")
	step := min(time.Minute, length)
	for elapsed := step; elapsed <= length; elapsed += step {
		taken, err := soakWindow(ctx, running, cfg, step)
		if err != nil {
			return err
		}
		for i, p := range running {
			if err := p.printState(names[i], elapsed, taken[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// soakWindow loads all gateways for a while and returns the latencies of each.
func soakWindow(ctx context.Context, running []side, cfg settings, length time.Duration) ([]latencies, error) {
	window, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	taken, errs := make([]latencies, len(running)), make([]error, len(running))
	var group sync.WaitGroup
	for i, p := range running {
		group.Go(func() { taken[i], errs[i] = openLoop(window, p.target, cfg.rate, cfg.connections) })
	}
	group.Wait()
	return taken, errors.Join(append(errs, ctx.Err())...)
}

func (s side) printState(name string, elapsed time.Duration, taken latencies) error {
	resident, err := s.proxy.residentBytes()
	if err != nil {
		return err
	}
	memory, err := s.proxy.memory()
	if err != nil {
		return err
	}
	goroutines, err := s.proxy.goroutines()
	if err != nil {
		return err
	}
	fmt.Printf("%-45s %8s %8.1fMB %8.1fMB %11d %8.2fms %8.2fms %9d\n", name, elapsed, float64(resident)/1e6, float64(memory.HeapInuse)/1e6,
		goroutines, millis(taken.quantile(0.5)), millis(taken.quantile(0.99)), len(taken))
	return nil
}

// profiles writes a CPU profile of each scenario's gateway under load.
func profiles(ctx context.Context, env *environment, all []scenario, cfg settings, length time.Duration) error {
	for _, s := range all {
		if err := profileOne(ctx, env, s, cfg, length); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

var notInFileNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

func profileOne(ctx context.Context, env *environment, s scenario, cfg settings, length time.Duration) error {
	p, stop, err := startSingle(ctx, env, s, cfg)
	if err != nil {
		return err
	}
	defer stop()
	under, cancel := context.WithTimeout(ctx, length+2*time.Second)
	defer cancel()
	loaded := make(chan error, 1)
	go func() {
		_, err := closedLoop(under, cfg.connections, p.target)
		loaded <- err
	}()
	seconds := strconv.Itoa(max(1, int(length.Seconds())))
	answer, err := http.Get("http://" + p.proxy.admin + "/debug/pprof/profile?seconds=" + seconds)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	name := "cpu-" + notInFileNames.ReplaceAllString(s.name, "-") + ".prof"
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(file, answer.Body); err != nil {
		return err
	}
	fmt.Println("wrote", name)
	return <-loaded
}

// startSingle runs the gateway of a scenario alone and fills its cache.
func startSingle(ctx context.Context, env *environment, s scenario, cfg settings) (side, func(), error) {
	if s.cache == 0 {
		s.cache = 200_000
	}
	gateway, err := s.start(env, cfg, "gateway-"+notInFileNames.ReplaceAllString(s.name, "-"))
	if err != nil {
		return side{}, nil, err
	}
	if err := errors.Join(s.signIn(gateway.addr), s.mint(gateway.addr)); err != nil {
		gateway.stop()
		return side{}, nil, err
	}
	p := side{proxy: gateway, target: &target{addr: gateway.addr, request: s.request, status: s.status, limited: s.limited, h2: s.h2}}
	alone := pair{plain: p, gateway: p, cfg: cfg}
	if err := alone.warm(ctx, s.warm); err != nil {
		gateway.stop()
		return side{}, nil, err
	}
	return p, gateway.stop, nil
}
