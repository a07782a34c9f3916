// SPDX-License-Identifier: Apache-2.0

package retry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-gluu/gateway/internal/retry"
)

func Example() {
	attempts := 0
	connect := func() error {
		if attempts++; attempts < 3 {
			return errors.New("connection refused")
		}
		return nil
	}
	ctx := context.Background()
	backoff := retry.Backoff{Min: time.Millisecond, Max: 10 * time.Millisecond}
	for {
		err := connect()
		if err == nil {
			break
		}
		fmt.Println(err)
		if !backoff.Wait(ctx) {
			return // the context has ended
		}
	}
	backoff.Reset() // a later failure starts with a short pause again
	fmt.Println("connected after", attempts, "attempts")
	// Output:
	// connection refused
	// connection refused
	// connected after 3 attempts
}
