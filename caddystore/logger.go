// SPDX-License-Identifier: Apache-2.0

package caddystore

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// processLogger returns a logger for what outlives configurations. Each line goes
// to the log of the configuration that runs at that moment: that of the one
// before may be closed.
func processLogger() *zap.Logger { return zap.New(currentLog{}).Named("gluu.store") }

// currentLog passes lines on to Caddy's default log of the moment.
type currentLog struct{ fields []zapcore.Field }

func (c currentLog) Enabled(level zapcore.Level) bool { return caddy.Log().Core().Enabled(level) }

func (c currentLog) With(fields []zapcore.Field) zapcore.Core {
	return currentLog{slices.Concat(c.fields, fields)}
}

func (c currentLog) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c currentLog) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	return caddy.Log().Core().Write(entry, slices.Concat(c.fields, fields))
}

func (c currentLog) Sync() error { return caddy.Log().Core().Sync() }

// Interface guards
var _ zapcore.Core = currentLog{}
