// SPDX-License-Identifier: Apache-2.0

package storedsecret

import (
	"sync"
	"testing"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

func TestASecretIsDrawnOnce(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	var wait sync.WaitGroup
	secrets := make([]string, 8)
	for i := range secrets {
		wait.Go(func() {
			secret, err := Get(t.Context(), storage, "gluu/test", zap.NewNop())
			if err != nil {
				t.Error(err)
			}
			secrets[i] = secret
		})
	}
	wait.Wait()
	for _, secret := range secrets {
		if secret != secrets[0] || len(secret) < 32 {
			t.Errorf("got %q and %q", secrets[0], secret)
		}
	}
	if other, err := Get(t.Context(), storage, "gluu/other", zap.NewNop()); err != nil || other == secrets[0] {
		t.Errorf("another name: got %q, %v", other, err)
	}
}

func TestWhatIsNotASecretIsNotReplaced(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	for _, text := range []string{"", "short", "{}"} {
		if err := storage.Store(t.Context(), "gluu/test", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if secret, err := Get(t.Context(), storage, "gluu/test", zap.NewNop()); err == nil {
			t.Errorf("%q was taken for a secret: %q", text, secret)
		}
	}
}
