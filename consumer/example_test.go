// SPDX-License-Identifier: Apache-2.0

package consumer_test

import (
	"context"
	"fmt"
	"os"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/consumer"
)

func Example() {
	dir, err := os.MkdirTemp("", "consumers")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	store := consumer.Open(&certmagic.FileStorage{Path: dir}, zap.NewNop())
	defer store.Close()

	directory, err := consumer.NewDirectory([]consumer.Consumer{
		{Username: "ann", CustomID: "client-a"}, // from the configuration
	}, store)
	if err != nil {
		panic(err)
	}
	fmt.Println(directory.ByClient("", "client-a").Username)

	if _, err := directory.Create(context.Background(), consumer.Consumer{Username: "bob", CustomID: "client-b"}); err != nil {
		panic(err)
	}
	fmt.Println(directory.ByClient("", "client-b").Username)

	_, err = directory.Create(context.Background(), consumer.Consumer{Username: "eve", CustomID: "client-a"})
	fmt.Println(err)
	// Output:
	// ann
	// bob
	// custom_id "client-a" belongs to a consumer of the configuration
}
