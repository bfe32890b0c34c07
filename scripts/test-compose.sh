#!/usr/bin/env bash
# Tests docker-compose.yml and deploy/Dockerfile for real: a Docker daemon of our own in namespaces of its own (nothing of it is left on
# the machine, nothing is pulled), images of our executable, stand-ins of the other images from Debian packages, then the journey, the
# scaling and the kills (scripts/compose/drive.py).
#
#   SLUICE_BIN=FILE   take this executable; else target/debug/sluice is built
#   S3=garage         compile Garage when it is not in the cache (about 12 minutes on two cores); else it is taken when it is there,
#                     and s3-server of this workspace when not
#   KEEP=1            leave everything running at the end, and say how to reach it
#
# Exit code 77: this machine can't do it, and the last line says why. 0: passed. 1: failed.
set -euo pipefail
cd "$(dirname "$0")/.."
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
export PATH=/usr/sbin:/usr/bin:/sbin:/bin${PATH:+:$PATH}:$HOME/.cargo/bin
unset DOCKER_HOST DOCKER_CONTEXT COMPOSE_FILE COMPOSE_PROFILES COMPOSE_PROJECT_NAME
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluice
started=$SECONDS

cannot() {
  echo "test-compose: skipped: $*" >&2
  exit 77
}
say() {
  printf '== %3d s  %s\n' $((SECONDS - started)) "$*"
}

[ "$(uname -s)" = Linux ] || cannot "needs Linux"
[ "$(id -u)" = 0 ] || cannot "needs root (a Docker daemon is started)"
scripts/setup.sh compose || cannot "the packages that it needs could not be installed"
unshare --mount --net --pid --fork --mount-proc true 2>/dev/null || cannot "the kernel refuses new namespaces"

# The executable of this machine runs in images of Debian 12.
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)
[ -n "$libc" ] && [ "$(printf '%s\n2.36\n' "$libc" | sort -V | tail -n 1)" = 2.36 ] ||
  cannot "what is built here (glibc ${libc:-unknown}) does not run in images of Debian 12 (glibc 2.36)"

say "file systems of the images"
status=0
scripts/compose/rootfs.sh "$cache/compose" || status=$?
[ $status != 77 ] || cannot "Debian's mirror can't be reached, and the cache is empty"
[ $status = 0 ] || exit $status

say "the executables"
if [ -z "${SLUICE_BIN:-}" ]; then
  timeout 2400 cargo build --quiet --locked -p sluice
  SLUICE_BIN=${CARGO_TARGET_DIR:-target}/debug/sluice
fi
mkdir -p target/image
strip -o target/image/sluice "$SLUICE_BIN"
scripts/compose/store.sh "$cache"

work=$(mktemp -d "${TMPDIR:-/tmp}/sluice-compose.XXXXXX")
group=/sluice-compose-$$
compose=(docker-compose --file docker-compose.yml --env-file "$work/env" --project-name sluice)
supervisor=
leave() {
  local status=$?
  trap - EXIT INT TERM
  if [ -n "$supervisor" ]; then
    if [ $status != 0 ]; then
      mkdir -p target/test-compose
      timeout 20 "${compose[@]}" logs --no-color --timestamps >target/test-compose/services.log 2>&1 || true
      cp "$work/dockerd.log" target/test-compose/ 2>/dev/null || true
      echo "test-compose: logs are in target/test-compose" >&2
    fi
    # Process 1 of the namespace takes all others with it, and the namespaces take mounts, bridges and rules.
    kill -KILL "$supervisor" 2>/dev/null || true
    wait "$supervisor" 2>/dev/null || true
  fi
  for _ in $(seq 50); do
    rm -rf --one-file-system "$work" 2>/dev/null && break
    sleep 0.2
  done
  # The control groups go when the last process of theirs is gone.
  for _ in $(seq 50); do
    find /sys/fs/cgroup -depth -type d -path "*$group*" -exec rmdir {} + 2>/dev/null || true
    [ -n "$(find /sys/fs/cgroup -type d -path "*$group*" -print -quit)" ] || break
    sleep 0.2
  done
  exit $status
}
trap leave EXIT
trap 'exit 1' INT TERM

say "a Docker daemon"
# In memory where there is enough: faster, and nothing to remove. It takes about 2 GiB.
mkdir "$work/data"
memory=$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
# shellcheck disable=SC2016
unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
  sh -c 'ip link set lo up && { [ "$0" -lt 8 ] || mount -t tmpfs -o size=6g,mode=0711 sluice "$2"; } && exec dockerd "$@"' "$memory" \
  --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/docker.pid" --host "unix://$work/docker.sock" \
  --cgroup-parent "$group" >"$work/dockerd.log" 2>&1 &
supervisor=$!
export DOCKER_HOST=unix://$work/docker.sock DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
for _ in $(seq 60); do
  if docker version >/dev/null 2>&1; then break; fi
  if ! kill -0 $supervisor 2>/dev/null; then break; fi
  sleep 0.5
done
docker version >/dev/null 2>&1 || {
  tail -n 3 "$work/dockerd.log" >&2
  cannot "dockerd does not start here"
}

say "images"
timeout 120 docker import - debian:bookworm-slim <"$cache/compose/base.tar" >/dev/null
timeout 300 docker import - sluice-standin/parts <"$cache/compose/parts.tar" >/dev/null
stand_in() { # stand_in TARGET PATTERN: the name and the tag that docker-compose.yml has
  timeout 300 docker build --quiet --network none --target "$1" --tag "$(sed -nE "s|^ *image: ($2:[^ ]*)|\1|p" docker-compose.yml)" scripts/compose/standins >/dev/null
}
stand_in postgres postgres
stand_in nats nats
stand_in haproxy haproxy
stand_in store dxflrs/garage

scripts/compose-secrets.sh "$work/secrets" "$work/env" >/dev/null
cat >>"$work/env" <<END
COMPOSE_PROFILES=scaled
SLUICE_SECRETS_DIR=$work/secrets
SLUICE_BINARY=outside
SLUICE_PUBLISH=127.0.0.1:8080
END
timeout 600 "${compose[@]}" --profile scaled --profile embedded build --quiet
docker images --format '{{.Repository}} {{.Size}}' 'sluice*' | sort | sed 's/^/   /'

say "the journey, the copies, the kills"
status=0
timeout --kill-after 10 "${COMPOSE_TEST_DEADLINE:-900}" nsenter --net --pid --mount --target "$(pgrep -P $supervisor)" --wd="$PWD" \
  python3 -B scripts/compose/drive.py --folder "$work" -- "${compose[@]}" || status=$?
if [ -n "${KEEP:-}" ]; then
  echo "DOCKER_HOST=$DOCKER_HOST ${compose[*]} ps; nsenter --net --pid --mount --target $(pgrep -P $supervisor). Enter ends it."
  read -r || true
fi
[ $status = 0 ] || exit 1
say "passed"
