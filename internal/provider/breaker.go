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

// A circuit breaker for each endpoint: after some failures in a row nobody
// waits for a timeout again. Every breakerPause one request is let through to
// see whether the endpoint answers.

const (
	BreakerFailures = 5
	breakerPause    = 10 * time.Second
)

type breakers struct {
	mu    sync.Mutex
	byURL map[string]*breaker
}

type breaker struct {
	circuit *gobreaker.CircuitBreaker[*Answer]
	now     func() time.Time

	mu     sync.Mutex
	opened time.Time
}

// openError is the refusal of an open breaker.
type openError struct{ wait time.Duration }

func (e *openError) Error() string {
	return fmt.Sprintf("it failed %d times in a row; next attempt in %s", BreakerFailures, e.wait.Round(time.Second))
}

func refusedByBreaker(err error) (wait time.Duration, refused bool) {
	if open, ok := errors.AsType[*openError](err); ok {
		return open.wait, true
	}
	return 0, false
}

// of returns the breaker of an endpoint. The names of endpoints are constants
// of the callers, so there are few.
func (b *breakers) of(s *Server, endpoint string) *breaker {
	b.mu.Lock()
	defer b.mu.Unlock()
	if found, ok := b.byURL[endpoint]; ok {
		return found
	}
	added := newBreaker(s, endpoint)
	if b.byURL == nil {
		b.byURL = map[string]*breaker{}
	}
	b.byURL[endpoint] = added
	return added
}

// states returns the state of each breaker, by endpoint.
func (b *breakers) states() map[string]string {
	b.mu.Lock()
	all := maps.Clone(b.byURL)
	b.mu.Unlock()
	states := make(map[string]string, len(all))
	for endpoint, breaker := range all {
		states[endpoint] = breaker.circuit.State().String()
	}
	return states
}

func newBreaker(s *Server, endpoint string) *breaker {
	b := &breaker{now: func() time.Time { return s.Now() }}
	s.metrics.breakerState(endpoint, gobreaker.StateClosed)
	b.circuit = gobreaker.NewCircuitBreaker[*Answer](gobreaker.Settings{
		Name:        endpoint,
		MaxRequests: 1,
		Timeout:     breakerPause,
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return counts.ConsecutiveFailures >= BreakerFailures
		},
		IsSuccessful: func(err error) bool { return err == nil || isRefusedRequest(err) },
		// Neither a client that went away nor a queue in this process is a
		// failure of the server.
		IsExcluded: func(err error) bool {
			return errors.Is(err, context.Canceled) || errors.Is(err, errTooBusy)
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.mu.Lock()
				b.opened = b.now()
				b.mu.Unlock()
			}
			s.metrics.breakerState(endpoint, to)
			level := zap.InfoLevel
			if to == gobreaker.StateOpen {
				level = zap.WarnLevel
			}
			s.Logger().Log(level, "circuit breaker", zap.String("endpoint", endpoint),
				zap.Stringer("from", from), zap.Stringer("to", to))
		},
	})
	return b
}

func (b *breaker) execute(request func() (*Answer, error)) (*Answer, error) {
	a, err := b.circuit.Execute(request)
	switch {
	case errors.Is(err, gobreaker.ErrOpenState):
		b.mu.Lock()
		wait := b.opened.Add(breakerPause).Sub(b.now())
		b.mu.Unlock()
		return nil, &openError{max(wait, time.Second)}
	case errors.Is(err, gobreaker.ErrTooManyRequests):
		return nil, &openError{time.Second} // the attempt is under way
	}
	return a, err
}
