#!/usr/bin/env bash
# Installs what is missing for `make run` (argument: run), `make test` (test), `make test-compose` (compose) or `make bench` (bench), and
# says what it does.
# As root it uses apt; otherwise it names the command to run. Nothing that is there is touched.
set -euo pipefail
purpose=${1:-run}
missing=()

need() { # need COMMAND PACKAGE: the Debian package that brings the command
  command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

need cc gcc
need make make
need git git
need curl curl
need pkg-config pkg-config
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
# The page is built by Node; Debian 12's own is too old, so a newer one that is there wins.
need node nodejs
need npm npm

if [ "$purpose" = test ]; then
  need chromium chromium
  need ffmpeg ffmpeg
  need python3 python3
  # The bus between processes; Debian puts it in /usr/sbin.
  [ -x /usr/sbin/nats-server ] || need nats-server nats-server
  # Shows that what is acknowledged was synced.
  need strace strace
  # Reads the manifests of deploy/k8s.
  python3 -c 'import yaml' >/dev/null 2>&1 || missing+=(python3-yaml)
  # A virtual environment for tuspy; Debian has what makes one in a package of its own.
  python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
fi
if [ "$purpose" = test ] || [ "$purpose" = bench ]; then
  if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! command -v initdb >/dev/null 2>&1; then
    missing+=(postgresql)
  fi
fi
if [ "$purpose" = compose ]; then
  # A daemon of its own, with Debian's client and not one that may stand in /usr/local.
  [ -x /usr/sbin/dockerd ] || missing+=(docker.io)
  [ -x /usr/bin/docker-compose ] || missing+=(docker-compose)
  [ -x /usr/sbin/debootstrap ] || missing+=(debootstrap)
  [ -x /usr/sbin/iptables ] || missing+=(iptables)
  need ip iproute2
  need unshare util-linux
  need pgrep procps
  need strip binutils
  need python3 python3
  need ffmpeg ffmpeg
fi
if [ "$purpose" = bench ]; then
  [ -x /usr/sbin/nats-server ] || need nats-server nats-server
  need ffmpeg ffmpeg
  # Peers of the gateway and of the bytes; nginx and haproxy are in /usr/sbin, which is not on everybody's PATH.
  [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
  [ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing+=(libnginx-mod-nchan)
  [ -x /usr/sbin/haproxy ] || missing+=(haproxy)
  need go golang-go
  # Clients of S3 beside ours.
  [ -x /usr/bin/aws ] || missing+=(awscli)
  [ -x /usr/bin/rclone ] || missing+=(rclone)
fi
if ! command -v cargo >/dev/null 2>&1; then
  missing+=(rustup)
fi

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "Missing: ${missing[*]}. Run this once as root, then again what you just ran:" >&2
    echo "  apt-get update && apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
  echo "== Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # A cluster that the postgresql package would start is not wanted: the tests start their own.
  if [[ " ${missing[*]} " == *" postgresql "* ]]; then
    apt-get install -y -qq --no-install-recommends postgresql-common >/dev/null
    sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  fi
  # RUNLEVEL=1: packages don't start their servers (invoke-rc.d).
  RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || {
    echo "apt-get could not install: ${missing[*]}" >&2
    exit 1
  }
  # The packages start their servers where there is an init system; tests and bench start their own on free ports.
  for service in nginx haproxy nats-server; do
    if [[ " ${missing[*]} " == *" $service"* ]] && command -v systemctl >/dev/null 2>&1; then
      systemctl disable --now "$service" >/dev/null 2>&1 || true
    fi
  done
  if [[ " ${missing[*]} " == *" docker.io "* ]] && command -v systemctl >/dev/null 2>&1; then
    systemctl disable --now docker.socket docker containerd >/dev/null 2>&1 || true
  fi
fi

node_version=$(node --version)
if ! printf '%s\n' v20.19.0 "$node_version" | sort -V -C; then
  echo "Node.js $node_version is too old to build the page: 20.19 or newer is needed (Debian 13's package is)." >&2
  exit 1
fi
if ! cargo --version >/dev/null 2>&1; then
  echo "== the Rust toolchain that rust-toolchain.toml names"
  rustup toolchain install
fi
