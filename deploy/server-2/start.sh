#!/bin/sh
# Server 2 in the foreground, in its container. What callers have to trust is put where they can mount it:
# ca.pem alone, since the folder that it comes from has the server's key too.
set -eu

home=/var/lib/customer-labels-server-2
published=/var/lib/customer-labels-ca
umask 027
[ $# -gt 0 ] || set -- --registry-port 5001

if [ -z "${SERVER_2_CERTIFICATE_FILE:-}" ]; then
  python - "$home/certificates" <<'PYTHON'
import sys
from pathlib import Path
from scripts.serving.certificates import ensure_certificate
ensure_certificate(Path(sys.argv[1]), "0.0.0.0")
PYTHON
  ca_file=$home/certificates/ca.pem
else
  set -- --certfile "$SERVER_2_CERTIFICATE_FILE" --keyfile "$SERVER_2_KEY_FILE" "$@"
  ca_file=$SERVER_2_CA_FILE
fi
# In one step: server 3 may read it at any moment
install -m 0644 "$ca_file" "$published/ca.pem.new"
mv "$published/ca.pem.new" "$published/ca.pem"

exec python -m scripts.serving --host 0.0.0.0 --home "$home" "$@"
