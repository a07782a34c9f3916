// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// currentLogger returns a logger for parts of the server that keep theirs.
// Caddy closes a configuration's logs when it is replaced, so it writes to
// those of the configuration that is running when something is logged.
func (s *Server) currentLogger() *zap.Logger {
	return zap.New(&currentCore{server: s})
}

type currentCore struct {
	server *Server
	fields []zapcore.Field
}

func (c *currentCore) Enabled(level zapcore.Level) bool {
	return c.server.Logger().Core().Enabled(level)
}

func (c *currentCore) With(fields []zapcore.Field) zapcore.Core {
	return &currentCore{c.server, slices.Concat(c.fields, fields)}
}

func (c *currentCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *currentCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	logger := c.server.Logger()
	entry.LoggerName = logger.Name()
	return logger.Core().Write(entry, slices.Concat(c.fields, fields))
}

func (c *currentCore) Sync() error { return c.server.Logger().Core().Sync() }
