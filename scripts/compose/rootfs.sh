#!/usr/bin/env bash
# Makes the file systems of the stand-ins from Debian packages, once, in the cache folder (argument): base.tar is what
# debian:bookworm-slim is made from, parts.tar has PostgreSQL, NATS and HAProxy, too. Needs root and Debian's mirror.
# Exit code 77: the mirror can't be reached.
set -euo pipefail
cache=$1
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
mkdir -p "$cache"
[ -e "$cache/base.tar" ] && [ -e "$cache/parts.tar" ] && exit 0

work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
# The same folders that Debian's own slim images leave out, and nobody reads here.
slim() { # slim ROOT
  chroot "$1" apt-get clean
  rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/usr/share/{doc,man,info,locale}/* "$1"/etc/resolv.conf
}

echo "== Debian bookworm (debootstrap)"
# shellcheck disable=SC2024
if ! timeout 600 debootstrap --variant=minbase bookworm "$work/base" "$mirror" >"$work/debootstrap.log" 2>&1; then
  tail -n 3 "$work/debootstrap.log" >&2
  echo "debootstrap could not read $mirror" >&2
  exit 77
fi
cp -a "$work/base" "$work/parts"
slim "$work/base"
tar -C "$work/base" -cf "$work/base.tar" .

echo "== PostgreSQL, NATS and HAProxy from Debian packages"
cp /etc/resolv.conf "$work/parts/etc/resolv.conf"
# No package starts its server while it is installed.
printf '#!/bin/sh\nexit 101\n' >"$work/parts/usr/sbin/policy-rc.d"
chmod 0755 "$work/parts/usr/sbin/policy-rc.d"
install() {
  timeout 600 chroot "$work/parts" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C sh -ec "$1" \
    >>"$work/apt.log" 2>&1 || {
    tail -n 3 "$work/apt.log" >&2
    echo "apt-get could not install the packages of the stand-ins" >&2
    exit 77
  }
}
install 'apt-get update -qq; apt-get install -y -qq --no-install-recommends postgresql-common'
# The image makes its cluster at its first start.
install 'sed -i "s/^#\?create_main_cluster.*/create_main_cluster = false/" /etc/postgresql-common/createcluster.conf'
install 'apt-get install -y -qq --no-install-recommends postgresql-15 nats-server haproxy wget'
# The numbers that the images on Docker Hub have; volumes and `user:` in docker-compose.yml name them.
install 'groupmod -g 999 postgres; usermod -u 999 postgres; groupmod -g 99 haproxy; usermod -u 99 haproxy'
slim "$work/parts"
tar -C "$work/parts" -cf "$work/parts.tar" .
mv "$work/base.tar" "$work/parts.tar" "$cache/"
