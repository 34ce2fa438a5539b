#!/bin/sh
# Servers 1 and 2: Python 3.11 with the pinned libraries in /opt/customer-labels/.venv. On Debian 12, as root.
set -eu

app=/opt/customer-labels
export DEBIAN_FRONTEND=noninteractive

apt-get update -q
apt-get upgrade -yq
apt-get install -yq --no-install-recommends ca-certificates python3.11-venv tini

python3.11 -m venv "$app/.venv"
"$app/.venv/bin/pip" install --no-cache-dir --progress-bar off -r "$app/scripts/requirements.txt"
# `python -m scripts.…` works from every folder
echo "$app" > "$app/.venv/lib/python3.11/site-packages/customer-labels.pth"

apt-get clean
rm -rf /var/lib/apt/lists/*
