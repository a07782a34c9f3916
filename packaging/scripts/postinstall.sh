#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs after an installation or an upgrade, by dpkg as "configure" and by rpm.
set -e

if ! getent group caddy >/dev/null; then
	groupadd --system caddy
fi
if ! getent passwd caddy >/dev/null; then
	useradd --system --gid caddy --home-dir /var/lib/caddy --no-create-home \
		--shell /usr/sbin/nologin --comment "Caddy with Gluu Gateway" caddy
fi
# The folders of the unit, for installations that run Caddy without systemd.
install -d -m 0755 -o caddy -g caddy /var/lib/caddy /var/log/caddy

# An upgrade restarts a gateway that runs. A new one is started by its
# administrator, once it is configured: systemctl enable --now caddy
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart caddy.service
fi
