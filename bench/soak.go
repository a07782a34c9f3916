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
	"time"
)

// soak runs each scenario's gateway at the fixed rate and prints, minute by
// minute, what would grow if something leaked: resident memory, heap,
// goroutines and latency.
func soak(ctx context.Context, w *world, all []scenario, cfg settings, length time.Duration) error {
	for _, s := range all {
		if s.site == "" {
			continue
		}
		if err := soakOne(ctx, w, s, cfg, length); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func soakOne(ctx context.Context, w *world, s scenario, cfg settings, length time.Duration) error {
	p, stop, err := startSingle(ctx, w, s, cfg)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Printf("%s, %s at %d requests/s\n%8s %10s %10s %11s %9s %9s %10s\n", s.name, length, cfg.rate,
		"elapsed", "resident", "heap", "goroutines", "p50", "p99", "requests")
	step := min(time.Minute, length)
	for elapsed := step; elapsed <= length; elapsed += step {
		window, cancel := context.WithTimeout(ctx, step)
		taken, err := openLoop(window, p.target, cfg.rate, cfg.connections)
		cancel()
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		resident, err := p.proxy.residentBytes()
		if err != nil {
			return err
		}
		memory, err := p.proxy.memory()
		if err != nil {
			return err
		}
		goroutines, err := p.proxy.goroutines()
		if err != nil {
			return err
		}
		fmt.Printf("%8s %8.1fMB %8.1fMB %11d %7.2fms %7.2fms %10d\n", elapsed, float64(resident)/1e6, float64(memory.HeapInuse)/1e6,
			goroutines, millis(taken.quantile(0.5)), millis(taken.quantile(0.99)), len(taken))
	}
	return nil
}

// profiles writes a CPU profile of each scenario's gateway under load.
func profiles(ctx context.Context, w *world, all []scenario, cfg settings, length time.Duration) error {
	for _, s := range all {
		if err := profileOne(ctx, w, s, cfg, length); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

var notInFileNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

func profileOne(ctx context.Context, w *world, s scenario, cfg settings, length time.Duration) error {
	p, stop, err := startSingle(ctx, w, s, cfg)
	if err != nil {
		return err
	}
	defer stop()
	under, cancel := context.WithTimeout(ctx, length+2*time.Second)
	defer cancel()
	loaded := make(chan error, 1)
	go func() {
		_, err := closedLoop(under, p.target, cfg.connections)
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
func startSingle(ctx context.Context, w *world, s scenario, cfg settings) (side, func(), error) {
	if s.cache == 0 {
		s.cache = 200_000
	}
	gateway, err := startProxy(cfg.binary, w.dir, "gateway", s.caddyfile(w.upstream), cfg.core)
	if err != nil {
		return side{}, nil, err
	}
	p := side{proxy: gateway, target: &target{addr: gateway.addr, request: s.request, status: s.status, h2: s.h2}}
	alone := pair{plain: p, gateway: p, cfg: cfg}
	if err := alone.warm(ctx, s.warm); err != nil {
		gateway.stop()
		return side{}, nil, err
	}
	return p, gateway.stop, nil
}
