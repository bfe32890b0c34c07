#!/bin/sh
# Does what docker-compose.yml wants of the entry point of the postgres image: the cluster, the user and the database at the first
# start, then the server as process 1.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --auth=scram-sha-256 --encoding=UTF8 --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" >/dev/null
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
  export PGPASSWORD
  # On the socket only, as the real one: nobody takes it for ready.
  pg_ctl -w -o "-c listen_addresses=''" start >/dev/null
  createdb --username="$POSTGRES_USER" --maintenance-db=postgres "$POSTGRES_DB"
  pg_ctl -w -m fast stop >/dev/null
fi
exec "$@" -c listen_addresses='*'
