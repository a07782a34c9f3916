// SPDX-License-Identifier: Apache-2.0

// Package caddyopa lets Open Policy Agent decide about requests: the handler
// `gluu_opa_pep`, and the engines of the app `gluu` that evaluate policies inside the
// gateway. A policy server (OPA or any with AuthZEN) can take the place of an engine.
//
// One request goes through here in this order: the canonical path, the document that
// describes the request (input.go and what it calls), the question to an engine, a
// server or a PDP, and what the answer means (verdict.go). Package identity knows who
// is calling; package internal/opaengine evaluates policies.
package caddyopa
