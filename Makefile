# SPDX-License-Identifier: Apache-2.0
#
# `make run` starts the quickstart, `make test` runs everything that can run
# here. Both need Go, make and git. Tests fetch what else they need; the last
# lines name what they left out.

CHECK := go -C tools run ./check
# To run a single package or benchmark: make bench BENCH=Match PKG=./pathmatch
BENCH ?= .
PKG   ?= $(shell go list ./... | grep -v /e2e)
COUNT ?= 1

.PHONY: build run test lint unit fuzz policy e2e test-release release schema bench bench-load soak clean

# bin/caddy: Caddy with this working tree and the plugins of xcaddy.json.
build:
	@go -C tools run ./build

run: build
	@examples/quickstart/run.sh

test: build
	@$(CHECK)

lint:
	@$(CHECK) format vet staticcheck golangci govulncheck

unit fuzz:
	@$(CHECK) $@

policy e2e test-release: build
	@$(CHECK) $(@:test-%=%)

# dist/: binaries, packages, image, chart, bills of materials, checksums, from
# what is committed. Twice, and compared: make release RELEASE=-verify.
# For one platform: make release RELEASE='-platforms linux/amd64'.
release:
	@go -C tools/release run . $(RELEASE)

# The JSON schema of all modules, from the Go types and their comments. A test
# fails if it is older than the code.
schema:
	@go run ./docs/schema

# Figures for people and benchstat; no test depends on them.
bench:
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKG)

# The gateway beside plain reverse_proxy, under load: docs/performance.md.
# One scenario alone: make bench-load BENCH_LOAD='-scenarios "cached JWT"'.
bench-load: build
	@go run ./bench -binary bin/caddy $(BENCH_LOAD)

# All scenarios at a fixed rate; prints every minute what could grow.
soak: build
	@go run ./bench -binary bin/caddy -soak 10m -rate 20 -connections 2 -tokens 50000 $(BENCH_LOAD)

clean:
	rm -rf bin dist .cache e2e/node_modules
