// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/retry"
)

const (
	// checkInterval is how often the settings of Redis are read: an operator may
	// change them, and a failover may bring another server.
	checkInterval = 10 * time.Second

	// complainInterval is how often the log says the same.
	complainInterval = time.Minute
)

var errEvicts = errors.New("maxmemory-policy lets Redis drop records that have not expired")

// keepChecked connects, and reads the settings from time to time.
func (e *Engine) keepChecked(ctx context.Context) {
	backoff := pause()
	var said time.Time
	warned := false
	for {
		aof, err := e.check(ctx)
		if ctx.Err() != nil {
			return
		}
		e.note(err, &said)
		if err == nil && !aof && !warned {
			warned = true
			e.logger.Warn("the store's Redis writes no append-only file: what is in it is lost when it restarts. Set 'appendonly yes'")
		}
		wait := checkInterval
		if err == nil {
			backoff.Reset()
		} else {
			wait = backoff.Next()
		}
		if !retry.Sleep(ctx, wait) {
			return
		}
	}
}

// note remembers whether Redis can be used. It writes to the log when that
// changes, and every minute while it cannot.
func (e *Engine) note(err error, said *time.Time) {
	if err == nil {
		if before := e.problem.Swap(nil); before != nil {
			e.logger.Info("the store's Redis is used")
			*said = time.Time{}
		}
		return
	}
	e.problem.Store(&problem{err})
	if time.Since(*said) < complainInterval {
		return
	}
	*said = time.Now()
	e.logger.Error("the store's Redis cannot be used; requests that need it are answered 503", zap.Error(err))
}

// check connects if need be, and reads what matters of the settings of each
// server. It reports whether all of them write an append-only file.
func (e *Engine) check(ctx context.Context) (aof bool, err error) {
	client := e.connection.Load()
	if client == nil {
		made, err := rueidis.NewClient(e.option)
		if err != nil {
			return false, fmt.Errorf("connecting: %w", err)
		}
		client = &made
		e.connection.Store(client)
	}
	aof = true
	for address, node := range (*client).Nodes() {
		settings, err := readSettings(ctx, node)
		if err != nil {
			return false, fmt.Errorf("reading the settings of %s: %w", address, err)
		}
		if policy := settings["maxmemory_policy"]; policy != "" && policy != "noeviction" {
			return false, fmt.Errorf("%s has maxmemory-policy %q: %w: set 'maxmemory-policy noeviction'", address, policy, errEvicts)
		}
		aof = aof && settings["aof_enabled"] != "0"
	}
	return aof, nil
}

// readSettings reads INFO, which is allowed where CONFIG is not.
func readSettings(ctx context.Context, node rueidis.Client) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	settings := make(map[string]string)
	for _, section := range []string{"memory", "persistence"} {
		text, err := node.Do(ctx, node.B().Info().Section(section).Build()).ToString()
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				settings[name] = value
			}
		}
	}
	return settings, nil
}
