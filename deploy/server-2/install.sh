#!/bin/sh
# Server 2: haproxy, and the user that everything of server 2 runs as. On Debian 12, as root, after deploy/python.sh.
set -eu

export DEBIAN_FRONTEND=noninteractive
home=/var/lib/customer-labels-server-2

apt-get update -q
apt-get install -yq --no-install-recommends haproxy
apt-get clean
rm -rf /var/lib/apt/lists/*

useradd --uid 10002 --home-dir "$home" --shell /usr/sbin/nologin customer-labels-server-2
install -d -m 0750 -o customer-labels-server-2 -g customer-labels-server-2 "$home"
