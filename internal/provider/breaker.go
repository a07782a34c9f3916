// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.uber.org/zap"
)

// A circuit breaker for each endpoint: after some failures in a row no request
// waits for a timeout again. Every breakerPause one request is let through to
// see whether the endpoint answers.
//
// Clients choose which tokens the gateway asks about, so a breaker moves only by
// evidence about the server. A complete answer is none, however odd it is, and
// one question that fails again and again is one failure: five failures of five
// different questions open the breaker. In between, a question that failed a
// moment ago is answered from memory.

const (
	BreakerFailures = 5
	breakerPause    = 10 * time.Second

	// failureMemory is how long a failed question is not asked again.
	failureMemory = time.Second
)

// endpoint is what is known about how one endpoint of a server fares, and the
// places for requests to it. Each endpoint has its own: a flood of unknown tokens
// must not delay the keys.
type endpoint struct {
	circuit *gobreaker.CircuitBreaker[*Answer]
	places  limiter
	now     func() time.Time

	mu       sync.Mutex
	openedAt time.Time
	counted  map[string]bool    // questions that failed since the last success
	failures map[string]failure // failed questions that are answered from memory
}

// failure is how a question failed, and until when that is the answer.
type failure struct {
	err   error
	until time.Time
}

type endpoints struct {
	mu     sync.Mutex
	byName map[string]*endpoint
}

// openError is the refusal of an open breaker.
type openError struct{ wait time.Duration }

func (e *openError) Error() string {
	return fmt.Sprintf("it failed %d times in a row; next attempt in %s", BreakerFailures, e.wait.Round(time.Second))
}

// countedError is a failure whose question has been counted before.
type countedError struct{ error }

func (e countedError) Unwrap() error { return e.error }

// of returns an endpoint. The names of endpoints are constants of the callers, so
// there are few.
func (e *endpoints) of(s *Server, name string) *endpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	if found, ok := e.byName[name]; ok {
		return found
	}
	added := newEndpoint(s, name)
	if e.byName == nil {
		e.byName = map[string]*endpoint{}
	}
	e.byName[name] = added
	return added
}

// breakers returns the state of each breaker, by endpoint.
func (e *endpoints) breakers() map[string]string {
	e.mu.Lock()
	all := maps.Clone(e.byName)
	e.mu.Unlock()
	states := make(map[string]string, len(all))
	for name, endpoint := range all {
		states[name] = endpoint.circuit.State().String()
	}
	return states
}

func newEndpoint(s *Server, name string) *endpoint {
	e := &endpoint{
		places:   newLimiter(maxInFlight),
		now:      func() time.Time { return s.Now() },
		counted:  map[string]bool{},
		failures: map[string]failure{},
	}
	s.metrics.breakerState(name, gobreaker.StateClosed)
	e.circuit = gobreaker.NewCircuitBreaker[*Answer](gobreaker.Settings{
		Name:        name,
		MaxRequests: 1,
		Timeout:     breakerPause,
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return counts.ConsecutiveFailures >= BreakerFailures
		},
		IsSuccessful: func(err error) bool { return evidenceOf(err) == serverAnswers },
		IsExcluded:   func(err error) bool { return evidenceOf(err) == noEvidence },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			e.changed(to)
			s.metrics.breakerState(name, to)
			level := zap.InfoLevel
			if to == gobreaker.StateOpen {
				level = zap.WarnLevel
			}
			s.Logger().Log(level, "circuit breaker", zap.String("endpoint", name),
				zap.Stringer("from", from), zap.Stringer("to", to))
		},
	})
	return e
}

// changed notes a new state of the breaker. What was counted led to the last one.
func (e *endpoint) changed(to gobreaker.State) {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.counted)
	if to == gobreaker.StateOpen {
		e.openedAt = e.now()
	}
}

// refusal returns the *openError with which the breaker refuses requests, nil if
// it lets them through.
func (e *endpoint) refusal() error {
	if e.circuit.State() != gobreaker.StateOpen {
		return nil
	}
	return e.openError()
}

func (e *endpoint) openError() *openError {
	e.mu.Lock()
	defer e.mu.Unlock()
	return &openError{max(e.openedAt.Add(breakerPause).Sub(e.now()), time.Second)}
}

// execute sends a request if the breaker lets it through, and has its outcome
// counted.
func (e *endpoint) execute(q Question, request func() (*Answer, error)) (*Answer, error) {
	a, err := e.circuit.Execute(func() (*Answer, error) {
		isProbe := e.circuit.State() == gobreaker.StateHalfOpen
		a, err := request()
		return a, e.count(q, err, isProbe)
	})
	switch {
	case errors.Is(err, gobreaker.ErrOpenState):
		return nil, e.openError()
	case errors.Is(err, gobreaker.ErrTooManyRequests):
		return nil, &openError{time.Second} // the attempt is under way
	}
	return a, err
}

// count returns the outcome in the form in which the breaker counts it: a
// question that has failed since the last success does not count again, unless it
// is the one that finds out whether the server has recovered.
func (e *endpoint) count(q Question, err error, isProbe bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch evidenceOf(err) {
	case serverAnswers:
		clear(e.counted)
	case serverFails:
		if q.About == "" || isProbe {
			return err
		}
		if e.counted[q.About] {
			return countedError{err}
		}
		e.counted[q.About] = true
	}
	return err
}

// remembered returns how a question failed a moment ago, nil if it did not.
func (e *endpoint) remembered(q Question) error {
	if q.About == "" {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if known, ok := e.failures[q.About]; ok && e.now().Before(known.until) {
		return known.err
	}
	return nil
}

// remember keeps how a question failed: for a moment, or for as long as the
// breaker is open.
func (e *endpoint) remember(q Question, err error) {
	if q.About == "" {
		return
	}
	isOpen := e.circuit.State() == gobreaker.StateOpen
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	until := now.Add(failureMemory)
	if opened := e.openedAt.Add(breakerPause); isOpen && opened.After(until) {
		until = opened
	}
	for about, known := range e.failures {
		if !now.Before(known.until) {
			delete(e.failures, about)
		}
	}
	e.failures[q.About] = failure{err, until}
}

// evidence is what the outcome of a call says about the server.
type evidence int

const (
	noEvidence    evidence = iota // nothing: the caller left, or one answer cannot be read
	serverAnswers                 // that it is there
	serverFails
)

func evidenceOf(err error) evidence {
	if err == nil {
		return serverAnswers
	}
	var (
		unreadable *UnreadableError
		counted    countedError
		refused    refusedRequest
	)
	switch {
	case errors.As(err, &refused):
		return serverAnswers
	case errors.As(err, &unreadable), errors.As(err, &counted), errors.Is(err, errNotWaited), errors.Is(err, context.Canceled):
		return noEvidence
	}
	return serverFails
}
