#!/usr/bin/env bash
# Makes what docker-compose.yml needs before its first start: .env from .env.example, and the secrets as files. What is there stays
# as it is, so that it may be run again. Arguments: the folder of the secrets (default ./secrets), the file of settings (default ./.env).
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-secrets}
settings=${2:-.env}
umask 022

if [ ! -e "$settings" ]; then
  cp .env.example "$settings"
  echo "made $settings"
fi

# Containers see each file by itself, as it lies here, and run as other users: the files are readable, the folder is closed.
mkdir -p "$folder"
chmod 0700 "$folder"

keep() { # keep NAME: what standard input says becomes the secret NAME, unless there is one
  if [ -e "$folder/$1" ]; then
    cat >/dev/null
  else
    cat > "$folder/$1.new"
    chmod 0644 "$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
    echo "made $folder/$1"
  fi
}
hex() { # hex BYTES
  head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

hex 32 | keep internal_token
echo "k1:$(head -c 32 /dev/urandom | base64 -w 0 | tr '+/' '-_' | tr -d =)" | keep grant_keys
hex 12 | keep admin_password
hex 24 | keep postgres_password
for service in api stream scheduler; do
  echo "postgres://sluice:$(cat "$folder/postgres_password")@postgres/sluice?schema=$service" | keep "database_$service"
done
hex 24 | keep nats_token
echo "token: \"$(cat "$folder/nats_token")\"" | keep nats_authorization
echo "GK$(hex 12)" | keep store_access_key
hex 32 | keep store_secret_key
# Garage takes them from its environment only.
keep garage.env <<END
GARAGE_DEFAULT_ACCESS_KEY=$(cat "$folder/store_access_key")
GARAGE_DEFAULT_SECRET_KEY=$(cat "$folder/store_secret_key")
GARAGE_RPC_SECRET=$(hex 32)
END
echo "The operator is \`admin\`, the password stands in $folder/admin_password."
