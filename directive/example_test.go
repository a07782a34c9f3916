// SPDX-License-Identifier: Apache-2.0

package directive_test

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/directive"
)

// greeter is the configuration of a handler.
type greeter struct {
	Name    string
	Timeout caddy.Duration
}

func (g *greeter) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginBlock(d, "write 'name %s' into the block")
	if err != nil {
		return err
	}
	var once directive.Once
	for d.NextBlock(0) {
		err := once.Check(d)
		if err != nil {
			return err
		}
		switch d.Val() {
		case "name":
			err = directive.SetString(d, &g.Name)
		case "timeout":
			g.Timeout, err = directive.Duration(d)
		default:
			err = directive.Unknown(d, start.Val(), "name", "timeout")
		}
		if err != nil {
			return err
		}
	}
	if g.Name == "" {
		return start.Err("greet needs a name: write 'name <name>' into the block")
	}
	return nil
}

func Example() {
	for _, text := range []string{
		"greet {\n name Ann\n timeout 5s\n}",
		"greet Ann",
		"greet {\n nam Ann\n}",
		"greet {\n timeout 5s\n}",
	} {
		var g greeter
		fmt.Println(g.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)))
	}
	// Output:
	// <nil>
	// greet takes a block and no value, got "Ann": write 'name Ann' into the block, at Testfile:1
	// there is no "nam" in greet: it has name, timeout, at Testfile:2
	// greet needs a name: write 'name <name>' into the block, at Testfile:1
}
