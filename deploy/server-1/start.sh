#!/bin/bash
# Server 1 in the foreground: sshd, with the keys that it is given and the environment for its sessions.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
run=/run/customer-labels
authorized_keys=$run/authorized_keys
umask 022
mkdir -p "$run" /run/sshd
# sshd refuses a folder that others may write to, as a fresh tmpfs is
chmod 0755 "$run" /run/sshd

fail() {
  echo "server 1 does not start: $*" >&2
  exit 1
}

take_authorized_keys() {
  local given=${AUTHORIZED_KEYS_FILE:-/run/secrets/authorized_keys}
  if [ -n "${AUTHORIZED_KEYS:-}" ]; then
    printf '%s\n' "$AUTHORIZED_KEYS" > "$authorized_keys"
  elif [ -r "$given" ]; then
    cat "$given" > "$authorized_keys"
  else
    fail "nobody could come in. Mount a file of public keys at $given, or set AUTHORIZED_KEYS"
  fi
  if grep -q 'PRIVATE KEY' "$authorized_keys"; then
    rm "$authorized_keys"
    fail "that is a private key. It stays with its owner; server 1 gets the .pub beside it"
  fi
  local fingerprints
  fingerprints=$(ssh-keygen -l -f "$authorized_keys" 2>&1) || fail "there is no public key among the keys it was given"
  echo "let in: $fingerprints"
}

make_host_keys() {
  local type
  for type in ed25519 rsa; do
    local key=/etc/ssh/host-keys/ssh_host_${type}_key
    [ -s "$key" ] || ssh-keygen -q -t "$type" -b 3072 -N '' -C server-1 -f "$key"
    echo "host key: $(ssh-keygen -l -f "$key.pub")"
  done
}

write_session() {
  [ -n "${MLFLOW_TRACKING_URI:-}" ] || fail 'MLFLOW_TRACKING_URI is not set, such as http://server-2:5000'
  [[ $MLFLOW_TRACKING_URI =~ ^https?://(\[[^]]+\]|[^/:@]+):([0-9]+)/?$ ]] ||
    fail 'MLFLOW_TRACKING_URI must be http(s)://HOST:PORT'
  local forward=${BASH_REMATCH[1]}:${BASH_REMATCH[2]} name value
  local variables='"PATH=/opt/customer-labels/.venv/bin:/usr/local/bin:/usr/bin:/bin"'
  while read -r name; do
    case $name in
      MLFLOW_* | CHURN_* | DATA_* | STORE_* | TZ) ;;
      *) continue ;;
    esac
    value=${!name}
    case $value in
      *'"'* | *'\'* | *$'\n'*) fail "$name has a quote, a backslash or a line break, which sshd cannot hand on" ;;
    esac
    variables+=" \"$name=$value\""
  done < <(compgen -e)
  # Of several SetEnv lines sshd takes the first alone. It may hold a password
  (umask 077 && printf 'SetEnv %s\nPermitOpen %s\n' "$variables" "$forward" > "$run/session.conf")
}

take_authorized_keys
make_host_keys
write_session
exec /usr/sbin/sshd -D -e -f "$here/sshd_config" "$@"
