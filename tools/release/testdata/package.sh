#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs, starts, upgrades and removes a package on a copy of this machine.
# Run in new mount, network and process namespaces:
#
#	package.sh SCRATCH deb|rpm OLDER NEWER
set -eu

scratch=$1 format=$2 older=$3 newer=$4
root=$scratch/root
mkdir -p "$root" "$scratch/upper" "$scratch/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
ip link set lo up
cp "$older" "$root/older.$format"
cp "$newer" "$root/newer.$format"
# A gateway of this machine must not be taken for that of the package.
rm -rf "$root/usr/bin/caddy" "$root/etc/caddy" "$root/var/lib/caddy"

fail() {
	echo "FAILED: $*"
	tail -n 5 "$scratch/log" 2>/dev/null || true
	exit 1
}

inside() {
	chroot "$root" "$@"
}

put() {
	case $format in
	deb) inside dpkg -i "$1" ;;
	# The data base of packages is empty here, so that nothing that the
	# package needs is in it.
	rpm) inside rpm -U --nodeps "$1" ;;
	esac
}

# as_unit runs a command with the rights that the unit gives. It takes the place
# of the shell, so run it in the background.
as_unit() {
	exec chroot "$root" setpriv --reuid caddy --regid caddy --init-groups --no-new-privs \
		--inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service \
		--bounding-set=-all,+net_bind_service \
		env -i PATH=/usr/bin:/bin HOME=/var/lib/caddy "$@"
}

# wait_for asks until an answer has this status: wait_for STATUS CURL-ARGUMENT...
wait_for() {
	status=$1
	shift
	tries=0
	until [ "$(curl -s -o /dev/null -w '%{http_code}' "$@")" = "$status" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 300 ] || fail "no $status from $1"
		sleep 0.1
	done
}

began=$(date +%s%N)
put "/older.$format"
id=$(inside getent passwd caddy) || fail "no user caddy"
case $id in
*/nologin) ;;
*) fail "the user caddy can log in: $id" ;;
esac
[ "$(inside stat -c %U:%a /var/lib/caddy)" = caddy:755 ] ||
	fail "/var/lib/caddy is $(inside stat -c %U:%a /var/lib/caddy)"

as_unit /usr/bin/caddy run --config /usr/share/doc/caddy-gluu/examples/quickstart.Caddyfile >"$scratch/log" 2>&1 &
quickstart=$!
api=http://127.0.0.1:18480
wait_for 401 $api/todos
token=$(curl -s -u todo-app-client:todo-app-secret -d grant_type=client_credentials -d scope=todos:read $api/oauth2/token |
	sed 's/.*"access_token":"\([^"]*\)".*/\1/')
wait_for 200 $api/todos -H "Authorization: Bearer $token"
echo "from the package to 200: $((($(date +%s%N) - began) / 1000000)) ms"
echo "quickstart: 401 without a token, 200 with one"
kill $quickstart
wait $quickstart || true

# What the unit starts.
start=$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/caddy.service")
# shellcheck disable=SC2086 # the line's words
as_unit $start >"$scratch/log" 2>&1 &
gateway=$!
wait_for 200 http://127.0.0.1:80/
owner=$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$gateway/status")
[ "$owner" = "$(inside id -u caddy)" ] || fail "caddy runs as user $owner"
echo "runs as caddy"
kill $gateway
wait $gateway || true

echo "# changed here" >>"$root/etc/caddy/Caddyfile"
put "/newer.$format"
inside tail -n 1 /etc/caddy/Caddyfile | grep -q "changed here" || fail "the upgrade replaced the configuration"
case $format in
deb) version=$(inside dpkg-query -W -f '${Version}' caddy-gluu) ;;
rpm) version=$(inside rpm -q --qf '%{VERSION}' caddy-gluu) ;;
esac
[ "$version" = 1.3.0 ] || fail "the upgrade left version $version"
inside /usr/bin/caddy gluu version || fail "the upgraded gateway does not run"
[ -s "$root/usr/share/man/man8/caddy-gluu-explain.8.gz" ] || fail "no man page"
echo "upgraded, configuration kept"

case $format in
deb)
	inside dpkg -r caddy-gluu
	[ -e "$root/etc/caddy/Caddyfile" ] || fail "a removal took the configuration"
	inside dpkg -P caddy-gluu
	[ ! -e "$root/etc/caddy/Caddyfile" ] || fail "a purge left the configuration"
	;;
rpm) inside rpm -e caddy-gluu ;;
esac
[ ! -e "$root/usr/bin/caddy" ] || fail "a removal left the program"
[ -d "$root/var/lib/caddy" ] || fail "a removal took the data"
echo "removed, data kept"
