// SPDX-License-Identifier: Apache-2.0

// Command release builds everything that is shipped, without a registry and
// without a container engine:
//
//	go -C tools/release run . [-o dist] [-version v1.2.3] [-platforms linux/amd64,...] [-verify]
//
// It writes static binaries in archives, packages for Debian and RPM systems,
// an image for several architectures as an OCI archive, the Helm chart, a bill
// of materials for each binary, and the checksums of all of them.
//
// Only what is committed is built, from a copy of the commit. The same commit,
// Go version and release version give the same bytes on every machine: times
// are the commit's, paths are trimmed, archives are sorted. -verify builds
// everything twice and compares.
//
// The module is separate from that of the other tools: the libraries that make
// packages and read charts are large, and `make build` needs none of them.
package main
