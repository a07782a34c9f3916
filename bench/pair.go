// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
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
	perSecond float64       // with the core for itself
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
	crowded        float64 // the ratio when requests queue up at both
}

// measure runs a scenario: a pair of proxies, a warm-up, the rounds for CPU
// time, then one phase for latency.
func measure(ctx context.Context, env *environment, s scenario, cfg settings) (row, error) {
	if s.cache == 0 {
		s.cache = 200_000
	}
	s.request(0) // makes what has to be made ahead
	plain, err := startProxy(cfg.binary, env.dir, "plain", s.plainCaddyfile(env.upstream), cfg.core)
	if err != nil {
		return row{}, err
	}
	defer plain.stop()
	gateway, err := s.start(env, cfg, "gateway")
	if err != nil {
		return row{}, err
	}
	defer gateway.stop()
	if err := errors.Join(s.signIn(gateway.addr), s.mint(gateway.addr)); err != nil {
		return row{}, gateway.withLog(err)
	}

	p := &pair{
		plain:   side{proxy: plain, target: &target{addr: plain.addr, request: s.request, status: max(s.plain, 200), h2: s.h2}},
		gateway: side{proxy: gateway, target: &target{addr: gateway.addr, request: s.request, status: s.status, limited: s.limited, h2: s.h2}},
		cfg:     cfg,
	}
	if err := p.warm(ctx, s.warm); err != nil {
		return row{}, fmt.Errorf("%s: %w", s.name, gateway.withLog(err))
	}
	result, err := p.run(ctx)
	result.scenario = s.name
	if err != nil {
		return result, fmt.Errorf("%s: %w", s.name, gateway.withLog(err))
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
	_, _, err = p.round(ctx, time.Second, p.cfg.connections)
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
	_, err := closedLoop(ctx, connections, t)
	return err
}

// run measures the rounds and the latency.
//
// A proxy that finds several requests waiting when it wakes up answers them
// for less each. With more connections than one, the slower proxy of a pair
// works longer, so that more requests wait for the other one: a difference then
// counts nearly twice (a handler that does nothing but count for 6.5 µs raises
// CPU time by 7 µs with one connection and by 10.5 µs with eight). So what a
// request costs is measured with one connection, and with all of them beside it.
func (p *pair) run(ctx context.Context) (row, error) {
	var plain, gateway []measured
	var ratios, crowded []float64
	for range p.cfg.rounds {
		a, b, err := p.round(ctx, p.cfg.length, 1)
		if err != nil {
			return row{}, err
		}
		plain, gateway = append(plain, a), append(gateway, b)
		ratios = append(ratios, float64(b.cpu)/float64(a.cpu))
		if a, b, err = p.round(ctx, p.cfg.length, p.cfg.connections); err != nil {
			return row{}, err
		}
		crowded = append(crowded, float64(b.cpu)/float64(a.cpu))
	}
	result := row{
		plain: medians(plain), gateway: medians(gateway),
		ratio: median(ratios), low: slices.Min(ratios), high: slices.Max(ratios), crowded: median(crowded),
	}
	if err := p.throughput(ctx, &result); err != nil {
		return result, err
	}
	return result, p.latency(ctx, &result)
}

// round loads both proxies at the same time and reads what each has used.
func (p *pair) round(ctx context.Context, length time.Duration, connections int) (plain, gateway measured, err error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	plainBefore, err := p.plain.used()
	if err != nil {
		return plain, gateway, err
	}
	gatewayBefore, err := p.gateway.used()
	if err != nil {
		return plain, gateway, err
	}
	answered, err := closedLoop(ctx, connections, p.plain.target, p.gateway.target)
	if err != nil {
		return plain, gateway, err
	}
	if answered == 0 {
		return plain, gateway, fmt.Errorf("no request was answered in %s", length)
	}
	if plain, err = p.plain.perRequest(plainBefore, answered); err != nil {
		return plain, gateway, err
	}
	gateway, err = p.gateway.perRequest(gatewayBefore, answered)
	return plain, gateway, err
}

// used is what a process has used since it started.
type used struct {
	cpu     time.Duration
	mallocs uint64
}

func (s side) used() (u used, err error) {
	// Memory first: asking for it costs CPU time, which must not count.
	memory, err := s.proxy.memory()
	if err != nil {
		return u, err
	}
	u.mallocs = memory.Mallocs
	u.cpu, err = s.proxy.cpuTime()
	return u, err
}

func (s side) perRequest(before used, answered uint64) (m measured, err error) {
	cpu, err := s.proxy.cpuTime()
	if err != nil {
		return m, err
	}
	memory, err := s.proxy.memory()
	if err != nil {
		return m, err
	}
	m.cpu = (cpu - before.cpu) / time.Duration(answered)
	m.allocs = float64(memory.Mallocs-before.mallocs) / float64(answered)
	return m, nil
}

// throughput measures how many requests a second each proxy answers when it
// has the core for itself.
func (p *pair) throughput(ctx context.Context, result *row) error {
	for _, each := range []struct {
		side   side
		result *measured
	}{{p.plain, &result.plain}, {p.gateway, &result.gateway}} {
		window, cancel := context.WithTimeout(ctx, p.cfg.length)
		answered, err := closedLoop(window, p.cfg.connections, each.side.target)
		cancel()
		if err != nil {
			return err
		}
		each.result.perSecond = float64(answered) / p.cfg.length.Seconds()
	}
	return nil
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
		cpu:    time.Duration(pick(func(m measured) float64 { return float64(m.cpu) })),
		allocs: pick(func(m measured) float64 { return m.allocs }),
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
