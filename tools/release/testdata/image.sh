#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs an unpacked image as its user, with no capability and a read-only root.
# Run in new mount, network and process namespaces:
#
#	image.sh SCRATCH ROOT UID:GID N VARIABLE... PROGRAM ARGUMENT...
set -eu

scratch=$1 root=$2 user=$3 variables=$4
shift 4
mount --bind "$root" "$root"
mount -t proc proc "$root/proc" 2>/dev/null || true
# What an engine mounts: the volumes of the image.
for volume in data config; do
	mount -t tmpfs -o "uid=${user%:*},gid=${user#*:},mode=700" tmpfs "$root/$volume"
done
mount -o remount,bind,ro "$root"
ip link set lo up

set -- "$@"
environment=
while [ "$variables" -gt 0 ]; do
	environment="$environment $1"
	variables=$((variables - 1))
	shift
done
# The empty image has no program but Caddy: setpriv enters it from outside.
# shellcheck disable=SC2086 # the variables have no spaces
env -i $environment "$(command -v setpriv)" --bounding-set=-all,+sys_chroot,+setuid,+setgid --inh-caps=-all \
	"$(command -v chroot)" --userspec="$user" "$root" "$@" >"$scratch/log" 2>&1 &
caddy=$!

tries=0
until curl -s -i http://127.0.0.1:8080/ >"$scratch/answer"; do
	tries=$((tries + 1))
	if [ "$tries" -ge 200 ]; then
		cat "$scratch/log"
		exit 1
	fi
	sleep 0.1
done
cat "$scratch/answer"

echo "runs as $(stat -c %u "/proc/$caddy")"
if ! touch "$root/etc/caddy/new" 2>/dev/null; then
	echo "the root is read-only"
fi
if grep -q '^CapEff:[[:space:]]*0*$' "/proc/$caddy/status"; then
	echo "no capability"
fi
if grep -q '"level":"error"' "$scratch/log"; then
	cat "$scratch/log"
	exit 1
fi
kill "$caddy"
wait "$caddy"
