// SPDX-License-Identifier: Apache-2.0

// Package openapi makes rules of an OpenAPI document, version 2.0, 3.0 or 3.1: each
// operation becomes a rule for its path and method that requires what the `security`
// of the operation says.
//
//	paths:                              GET /v1/pets/?   scope read:pets
//	  /pets/{petId}:
//	    get:
//	      security: [{oauth: [read:pets]}]
//
// [Load] does this in four steps, each in a file of its own:
//
//   - files.go reads the document and the files beside it that it refers to; nothing
//     is ever fetched from a network;
//   - digest.go copies the parts that matter for rules, follows references and YAML
//     aliases, and refuses everything that could be read in two ways. The mistakes in
//     a response's schema do not matter to a gateway;
//   - model.go has the library libopenapi build its model of the copy;
//   - rules.go, template.go, security.go and servers.go turn the model into rules.
//
// A rule is never more open than the document: what cannot be expressed is an error
// that names the file, the line and the operation.
package openapi
