#!/bin/sh
# Server 1: sshd and the user trainer. On Debian 12, as root, after deploy/python.sh.
set -eu

export DEBIAN_FRONTEND=noninteractive

apt-get update -q
apt-get install -yq --no-install-recommends openssh-server openssh-sftp-server
apt-get clean
rm -rf /var/lib/apt/lists/*

# Each machine makes its own at its first start
rm -f /etc/ssh/ssh_host_*
install -d -m 0700 /etc/ssh/host-keys

# No password fits '*', which, unlike '!', does not lock keys out
useradd --uid 10001 --create-home --shell /bin/bash --password '*' trainer
# Shells that read /etc/profile lose the PATH that sshd gave them
echo 'PATH=/opt/customer-labels/.venv/bin:$PATH' > /etc/profile.d/customer-labels.sh
