#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Starts three gateways and a load balancer as plain processes, and runs until
# interrupted. PostgreSQL and Redis run already:
#
#   POSTGRES   default: postgres://gateway:gateway@127.0.0.1:5432/gateway
#   REDIS      default: redis://127.0.0.1:6379
#   CADDY      the binary; default: bin/caddy, made by make build
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
caddy=${CADDY:-$root/bin/caddy}
cd "$root"
[ -x "$caddy" ] || {
	echo "$caddy does not exist. Run: make build" >&2
	exit 1
}

pids=
stop() {
	trap - INT TERM EXIT
	# shellcheck disable=SC2086 # several ids
	[ -z "$pids" ] || kill $pids 2>/dev/null || true
	wait
}
trap 'stop; exit 0' INT TERM
trap stop EXIT

for n in 1 2 3; do
	CADDY_ADMIN=127.0.0.1:$((8197 + n)) SITE_PORT=$((18890 + n)) API_PORT=$((18895 + n)) \
		"$caddy" run --config "$here/Caddyfile" &
	pids="$pids $!"
done
"$caddy" run --config "$here/balancer.Caddyfile" --adapter caddyfile &
pids="$pids $!"

echo "The cluster is at http://127.0.0.1:18890; the admin endpoints are 127.0.0.1:8198 to 8200." >&2
wait
