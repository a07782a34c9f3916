#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs before a removal, by dpkg as "remove" and by rpm as "0", and before an
# upgrade, which keeps the gateway running until the new one is there.
set -e

case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now caddy.service
	fi
	;;
esac
