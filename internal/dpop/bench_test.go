// SPDX-License-Identifier: Apache-2.0

package dpop

import "testing"

func BenchmarkDPoPProof(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			checker := testChecker(false)
			d := newClient(alg)
			r := d.request(b, nil, nil)
			b.ReportAllocs()
			for b.Loop() {
				checker.replays = newReplayCache() // or the proof would be a replay
				if err := checker.Check(r, d.jkt, d.raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
