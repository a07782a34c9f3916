// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestRedisSettings(t *testing.T) {
	key := strings.Repeat("k", minRedisKey)
	for _, test := range []struct {
		redis, key string
		want       string // "" if it is accepted
	}{
		{"redis://127.0.0.1:6379", key, ""},
		{"redis://redis.example", key, ""},
		{"rediss://user:pass@redis.example:6380/3", key, ""},
		{"valkey://[::1]:6379", key, ""},
		{"unix:///run/redis.sock", key, ""},
		{"{env.REDIS}", key, ""},
		{"redis://127.0.0.1", "{env.K}", ""},

		{"redis://127.0.0.1", "", "write 'redis_key"},
		{"", key, "write 'redis redis://"},
		{"redis://127.0.0.1", key[1:], "31 bytes, 32 are needed"},
		{"127.0.0.1:6379", key, "write 'redis://"},
		{"redis.example", key, "write 'redis://"},
		{"http://redis.example", key, "one of the schemes"},
		{"redis://", key, "names no server"},
		{"unix://", key, "names no server"},
		{"redis://redis.example/three", key, "<database number>"},
		{"rediss://redis.example?skip_verify=true", key, "leave them out"},
		{"redis://:secret%zz@redis.example", key, "percent-encoded"},
	} {
		text := "gluu {\n cache {\n"
		if test.redis != "" {
			text += "  redis " + test.redis + "\n"
		}
		if test.key != "" {
			text += "  redis_key " + test.key + "\n"
		}
		var app App
		err := app.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text + " }\n}"))
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: got %v, want it accepted", test.redis, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Testfile:")):
			t.Errorf("%s: got %v, want %q and the line", test.redis, err, test.want)
		case err != nil && (strings.Contains(err.Error(), "secret") && strings.Contains(test.redis, "secret%") || strings.Contains(err.Error(), "kkkk")):
			t.Errorf("%s: a secret is in the message: %v", test.redis, err)
		case err == nil && (app.Cache.Redis != test.redis || app.Cache.RedisKey != test.key):
			t.Errorf("got %+v", app.Cache)
		}
	}
}

// The value of a placeholder is checked when the configuration loads, and no
// request can choose it.
func TestRedisSettingsFromTheEnvironment(t *testing.T) {
	t.Setenv("REDIS_SHORT", "short")
	t.Setenv("REDIS_WRONG", "ftp://:hidden-password@redis.example")
	t.Setenv("REDIS_KEY", strings.Repeat("k", minRedisKey))
	for _, test := range []struct{ redis, key, want string }{
		{"redis://127.0.0.1:1", "{env.REDIS_SHORT}", "32 are needed"},
		{"redis://127.0.0.1:1", "{env.REDIS_NOT_SET}", "redis_key"},
		{"{env.REDIS_WRONG}", "{env.REDIS_KEY}", "one of the schemes"},
		{"{http.request.host}", "{env.REDIS_KEY}", "redis"},
	} {
		err := load(t, t.TempDir(), `{"cache": {"redis": "`+test.redis+`", "redis_key": "`+test.key+`"}}`)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hidden-password") {
			t.Errorf("%s, %s: got %v, want %q", test.redis, test.key, err, test.want)
		}
	}
	mustLoad(t, t.TempDir(), `{"cache": {"redis": "redis://127.0.0.1:1", "redis_key": "{env.REDIS_KEY}"}}`)
}
