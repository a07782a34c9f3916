// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// settings of a run, from the command line.
type settings struct {
	binary      string
	rounds      int
	length      time.Duration // of one measurement
	connections int           // to each proxy
	rate        int           // requests a second to each proxy in the latency phase
	core        int           // that the pair shares
}

// measured is what one proxy used for one request, and how fast it answered.
type measured struct {
	perSecond float64
	cpu       time.Duration // a request
	allocs    float64       // a request
	p50, p99  time.Duration // at the fixed rate
}

// row is one line of the table: medians over the rounds.
type row struct {
	scenario       string
	plain, gateway measured
	ratio          float64 // of CPU time a request
	low, high      float64 // lowest and highest ratio of a round
}

// measure runs a scenario: a pair of proxies, a warm-up, the rounds for CPU
// time, then one phase for latency.
func measure(ctx context.Context, w *world, s scenario, cfg settings) (row, error) {
	if s.cache == 0 {
		s.cache = 200_000
	}
	plain, err := startProxy(cfg.binary, w.dir, "plain", s.plainCaddyfile(w.upstream), cfg.core)
	if err != nil {
		return row{}, err
	}
	defer plain.stop()
	gateway, err := startProxy(cfg.binary, w.dir, "gateway", s.caddyfile(w.upstream), cfg.core)
	if err != nil {
		return row{}, err
	}
	defer gateway.stop()

	p := &pair{
		plain:   side{proxy: plain, target: &target{addr: plain.addr, request: s.request, status: max(s.plain, 200), h2: s.h2}},
		gateway: side{proxy: gateway, target: &target{addr: gateway.addr, request: s.request, status: s.status, h2: s.h2}},
		cfg:     cfg,
	}
	if err := p.warm(ctx, s.warm); err != nil {
		return row{}, fmt.Errorf("%s: %w", s.name, err)
	}
	result, err := p.run(ctx)
	result.scenario = s.name
	if err != nil {
		return result, fmt.Errorf("%s: %w", s.name, err)
	}
	return result, nil
}

type side struct {
	proxy  *proxy
	target *target
}

type pair struct {
	plain, gateway side
	cfg            settings
}

// warm waits until the gateway gives the right answer (discovery runs in the
// background), fills the cache, and lets both run for a second.
func (p *pair) warm(ctx context.Context, requests uint64) error {
	err := waitFor(30*time.Second, func() bool {
		c, err := p.gateway.target.connect()
		if err != nil {
			return false
		}
		defer c.close()
		return c.do() == nil
	})
	if err != nil {
		return fmt.Errorf("the gateway never gave the right answer: %w", err)
	}
	p.gateway.target.next.Store(0)
	if requests > 0 {
		if err := fill(p.gateway.target, p.cfg.connections, requests); err != nil {
			return err
		}
	}
	_, _, err = p.round(ctx, time.Second)
	return err
}

// fill sends every one of the first n requests once.
func fill(t *target, connections int, n uint64) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for t.next.Load() < n {
			time.Sleep(20 * time.Millisecond)
			if ctx.Err() != nil {
				return
			}
		}
		cancel()
	}()
	_, err := closedLoop(ctx, t, connections)
	return err
}

// run measures the rounds and the latency.
func (p *pair) run(ctx context.Context) (row, error) {
	var plain, gateway []measured
	var ratios []float64
	for range p.cfg.rounds {
		a, b, err := p.round(ctx, p.cfg.length)
		if err != nil {
			return row{}, err
		}
		plain, gateway = append(plain, a), append(gateway, b)
		ratios = append(ratios, float64(b.cpu)/float64(a.cpu))
	}
	result := row{
		plain: medians(plain), gateway: medians(gateway),
		ratio: median(ratios), low: slices.Min(ratios), high: slices.Max(ratios),
	}
	return result, p.latency(ctx, &result)
}

// round loads both proxies at the same time and reads what each has used.
func (p *pair) round(ctx context.Context, length time.Duration) (plain, gateway measured, err error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var group sync.WaitGroup
	var plainErr, gatewayErr error
	group.Go(func() { plain, plainErr = p.plain.load(ctx, p.cfg.connections, length) })
	group.Go(func() { gateway, gatewayErr = p.gateway.load(ctx, p.cfg.connections, length) })
	group.Wait()
	if plainErr != nil {
		return plain, gateway, fmt.Errorf("plain proxy: %w", plainErr)
	}
	if gatewayErr != nil {
		return plain, gateway, fmt.Errorf("gateway: %w", gatewayErr)
	}
	return plain, gateway, nil
}

func (s side) load(ctx context.Context, connections int, length time.Duration) (m measured, err error) {
	before, err := s.proxy.memory()
	if err != nil {
		return m, err
	}
	cpu, err := s.proxy.cpuTime()
	if err != nil {
		return m, err
	}
	answered, err := closedLoop(ctx, s.target, connections)
	if err != nil {
		return m, err
	}
	after, err := s.proxy.cpuTime()
	if err != nil {
		return m, err
	}
	memory, err := s.proxy.memory()
	if err != nil {
		return m, err
	}
	if answered == 0 {
		return m, fmt.Errorf("no request was answered in %s", length)
	}
	m.perSecond = float64(answered) / length.Seconds()
	m.cpu = (after - cpu) / time.Duration(answered)
	m.allocs = float64(memory.Mallocs-before.Mallocs) / float64(answered)
	return m, nil
}

// latency measures both at the same fixed rate, in an open loop.
func (p *pair) latency(ctx context.Context, result *row) error {
	ctx, cancel := context.WithTimeout(ctx, 2*p.cfg.length)
	defer cancel()
	var group sync.WaitGroup
	var plainErr, gatewayErr error
	run := func(s side, m *measured, err *error) {
		taken, failure := openLoop(ctx, s.target, p.cfg.rate, p.cfg.connections)
		m.p50, m.p99, *err = taken.quantile(0.50), taken.quantile(0.99), failure
	}
	group.Go(func() { run(p.plain, &result.plain, &plainErr) })
	group.Go(func() { run(p.gateway, &result.gateway, &gatewayErr) })
	group.Wait()
	if plainErr != nil {
		return fmt.Errorf("plain proxy: %w", plainErr)
	}
	return gatewayErr
}

func medians(all []measured) measured {
	pick := func(value func(measured) float64) float64 {
		values := make([]float64, len(all))
		for i, m := range all {
			values[i] = value(m)
		}
		return median(values)
	}
	return measured{
		perSecond: pick(func(m measured) float64 { return m.perSecond }),
		cpu:       time.Duration(pick(func(m measured) float64 { return float64(m.cpu) })),
		allocs:    pick(func(m measured) float64 { return m.allocs }),
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
