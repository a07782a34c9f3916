// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// Parts of the server that outlive a configuration write to the logs of the
// one that is running, since those of the former are closed.
func TestLogsOfTheRunningConfiguration(t *testing.T) {
	p := providerFor(t, Config{Issuer: "https://as.example", Verify: VerifyJWT})
	logger := p.currentLogger().With(zap.String("k", "v"))
	for range 2 {
		core, logs := observer.New(zap.InfoLevel)
		p.Attach(&Connection{HTTP: p.loaded.HTTP, Logger: zap.New(core).Named("gluu").With(zap.String("provider", "p"))})
		logger.Debug("not this")
		logger.Info("this", zap.Int("n", 1))
		if all := logs.All(); len(all) != 1 || all[0].Message != "this" || all[0].LoggerName != "gluu" ||
			fmt.Sprint(all[0].ContextMap()) != "map[k:v n:1 provider:p]" {
			t.Errorf("got %v", all)
		}
	}
}
