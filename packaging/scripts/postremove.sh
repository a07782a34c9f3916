#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs after a removal. /var/lib/caddy stays, even when dpkg purges: it holds
# keys, certificates and consumers that exist nowhere else.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
