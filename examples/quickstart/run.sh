#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Starts the quickstart, prints commands to try, and runs until interrupted.
# It writes its files below .cache/quickstart in the repository.
#
#   QUICKSTART_PORT   the gateway's port; the API, Caddy's admin endpoint and the
#                     gateway's own pages have the next three. Default: the
#                     first of 18480, 18580, ... 19380 that is free together
#                     with those.
#   CADDY             the binary to run. Default: bin/caddy, made by make build.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
caddy=${CADDY:-$root/bin/caddy}

if [ ! -x "$caddy" ]; then
	echo "$caddy does not exist. Run: make run" >&2
	exit 1
fi

if ! command -v curl >/dev/null; then
	echo "curl is missing. Install it: the quickstart needs it to see which ports are free." >&2
	exit 1
fi

pid=
claim=
stop() {
	if [ -n "$pid" ]; then
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	fi
	[ -z "$claim" ] || rm -f "$claim"
	claim=
}
trap 'stop; exit 0' INT TERM HUP
trap stop EXIT

# take claims a port for this script until it ends. Caddy shares its ports
# (SO_REUSEPORT): two gateways on one port would both start, and each request
# would reach either. The claim is a symbolic link, which the system creates for
# one script alone, in a folder that all clones share; it names the process, so
# that the claim of one that was killed does not last.
take() {
	claim=/tmp/gluu-quickstart-$1
	if ln -s "$$" "$claim" 2>/dev/null; then
		return 0
	fi
	owner=$(readlink "$claim" 2>/dev/null || true)
	if [ -n "$owner" ] && ! ps -p "$owner" >/dev/null 2>&1 && mv "$claim" "$claim.$$" 2>/dev/null; then
		# Another script may have been faster: then that claim goes back.
		moved=$(readlink "$claim.$$")
		rm -f "$claim.$$"
		if [ "$moved" = "$owner" ]; then
			ln -s "$$" "$claim" 2>/dev/null && return 0
		else
			ln -s "$moved" "$claim" 2>/dev/null || true
		fi
	fi
	claim=
	return 1
}

# in_use reports whether anything accepts connections on a port.
in_use() {
	status=0
	curl -s -o /dev/null --noproxy '*' --max-time 2 "http://127.0.0.1:$1/" || status=$?
	[ "$status" -ne 7 ] # 7: no connection
}

# reserve finds out whether a port and the three after it are free, and claims
# them.
reserve() {
	if take "$1" && ! in_use "$1" && ! in_use $(($1 + 1)) && ! in_use $(($1 + 2)) && ! in_use $(($1 + 3)); then
		return 0
	fi
	[ -z "$claim" ] || rm -f "$claim"
	claim=
	echo "Port $1, or one of the three after it, is in use." >&2
	return 1
}

# start runs the example on a port and the three after it. It returns 0 once Caddy
# serves, and 1 if Caddy has ended instead.
start() {
	state=$root/.cache/quickstart/$1
	log=$state/caddy.log
	mkdir -p "$state"
	: >"$log"
	XDG_DATA_HOME=$state/data XDG_CONFIG_HOME=$state/config \
		QUICKSTART_PORT=$1 QUICKSTART_API_PORT=$(($1 + 1)) QUICKSTART_ADMIN_PORT=$(($1 + 2)) QUICKSTART_UI_PORT=$(($1 + 3)) \
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
for candidate in ${QUICKSTART_PORT:-18480 18580 18680 18780 18880 18980 19080 19180 19280 19380}; do
	if reserve "$candidate"; then
		port=$candidate
		break
	fi
done
if [ -z "$port" ]; then
	echo "No port is free. Stop another quickstart, or choose a port: QUICKSTART_PORT=20480 make run" >&2
	exit 1
fi
start "$port" || fail

gateway=http://127.0.0.1:$port
# The answer to a token request is JSON on one line.
token="\$(curl -s -u todo-app-client:todo-app-secret -d grant_type=client_credentials -d scope=todos:read $gateway/oauth2/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
unauthorized="curl -i $gateway/todos"
forbidden="curl -i -X POST $gateway/todos -H \"Authorization: Bearer $token\""
allowed="curl -i $gateway/todos -H \"Authorization: Bearer $token\""

# The gateway reads the metadata of its authorization server in the background,
# and answers 503 until it has it.
tries=0
until eval "$allowed" 2>/dev/null | grep -q '^X-Consumer-Username: *todo-app'; do
	tries=$((tries + 1))
	if ! kill -0 "$pid" 2>/dev/null || [ "$tries" -gt 30 ]; then
		fail
	fi
	sleep 1
done

link=$("$caddy" gluu ui --address "127.0.0.1:$((port + 2))") || fail

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

For people: open this page in a browser. Log in as alice, with the password
alice-password, and say yes; the API shows that it is alice who asks.

$gateway/me

To see the gateway in a browser, open this link within a minute. It opens once;
the command below it prints another one.

$link

"$caddy" gluu ui --address 127.0.0.1:$((port + 2))

After a change of $here/Caddyfile, reload it:

QUICKSTART_PORT=$port QUICKSTART_API_PORT=$((port + 1)) QUICKSTART_ADMIN_PORT=$((port + 2)) QUICKSTART_UI_PORT=$((port + 3)) "$caddy" reload --config "$here/Caddyfile" --address 127.0.0.1:$((port + 2))

Press Ctrl+C to stop.
END

if ! wait "$pid"; then
	fail
fi
