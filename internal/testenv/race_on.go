// SPDX-License-Identifier: Apache-2.0

//go:build race

package testenv

// RaceDetector reports whether the test runs with the race detector, which makes
// code several times slower.
const RaceDetector = true
