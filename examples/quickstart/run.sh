#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Starts the quickstart, prints commands to try, and runs until interrupted.
# It writes its files below .cache/quickstart in the repository.
#
#   QUICKSTART_PORT   the gateway's port; the API and Caddy's admin endpoint
#                     have the next two. Default: the first of 18480, 18580,
#                     ... 18980 that is free together with those.
#   CADDY             the binary to run. Default: bin/caddy, made by make build.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
caddy=${CADDY:-$root/bin/caddy}

if [ ! -x "$caddy" ]; then
	echo "$caddy does not exist. Run: make run" >&2
	exit 1
fi

pid=
stop() {
	if [ -n "$pid" ]; then
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	fi
}
trap 'stop; exit 0' INT TERM HUP
trap stop EXIT

# start runs the example on a port and the two after it. It returns 0 once Caddy
# serves, and 1 if Caddy has ended instead.
start() {
	state=$root/.cache/quickstart/$1
	log=$state/caddy.log
	mkdir -p "$state"
	: >"$log"
	XDG_DATA_HOME=$state/data XDG_CONFIG_HOME=$state/config \
		QUICKSTART_PORT=$1 QUICKSTART_API_PORT=$(($1 + 1)) QUICKSTART_ADMIN_PORT=$(($1 + 2)) \
		"$caddy" run --config "$here/Caddyfile" --adapter caddyfile >>"$log" 2>&1 &
	pid=$!
	until grep -q 'serving initial configuration' "$log"; do
		if ! kill -0 "$pid" 2>/dev/null; then
			pid=
			return 1
		fi
		sleep 1
	done
}

# fail shows why Caddy has ended.
fail() {
	echo "Caddy has ended. The end of $log:" >&2
	tail -n 5 "$log" >&2
	exit 1
}

port=
for candidate in ${QUICKSTART_PORT:-18480 18580 18680 18780 18880 18980}; do
	if start "$candidate"; then
		port=$candidate
		break
	fi
	grep -Eq 'address already in use|in use by another process' "$log" || fail
	echo "Port $candidate, or one of the two after it, is in use." >&2
done
[ -n "$port" ] || fail

gateway=http://127.0.0.1:$port
# The answer to a token request is JSON on one line.
token="\$(curl -s -u todo-app-client:todo-app-secret -d grant_type=client_credentials -d scope=todos:read $gateway/oauth2/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
unauthorized="curl -i $gateway/todos"
forbidden="curl -i -X POST $gateway/todos -H \"Authorization: Bearer $token\""
allowed="curl -i $gateway/todos -H \"Authorization: Bearer $token\""

# The gateway reads the metadata of its authorization server in the background,
# and answers 503 until it has it.
if command -v curl >/dev/null; then
	tries=0
	until eval "$allowed" 2>/dev/null | grep -q '^X-Consumer-Username: *todo-app'; do
		tries=$((tries + 1))
		if ! kill -0 "$pid" 2>/dev/null || [ "$tries" -gt 30 ]; then
			fail
		fi
		sleep 1
	done
fi

cat <<END

The gateway runs at $gateway, the API behind it at http://127.0.0.1:$((port + 1)).
Its log is $log.
Paste these into another terminal:

1. Without a token: 401, and the challenge says that a Bearer token is missing.

$unauthorized

2. With a token for todos:read, where todos:write is needed: 403, and the
   challenge names the scope that is missing.

$forbidden

3. With the same kind of token, where todos:read is enough: 200, and the API
   shows which identity headers it received.

$allowed

Press Ctrl+C to stop.
END

if ! wait "$pid"; then
	fail
fi
