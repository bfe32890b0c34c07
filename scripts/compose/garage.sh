#!/usr/bin/env bash
# Compiles Garage, the S3 store of docker-compose.yml, into the cache folder (argument), unless it is there: 18 minutes of one core,
# about ten on two. `2.5.0/bin/garage` below it is the executable.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=$1/garage
version=$(sed -nE 's|^ *image: dxflrs/garage:v([0-9.]*)$|\1|p' docker-compose.yml)
[ ! -x "$cache/$version/bin/garage" ] || exit 0
echo "== Garage $version, once, into $cache"
# What was compiled stays until it is whole: a run that was cut goes on.
CARGO_TARGET_DIR=$cache/target cargo install garage --quiet --locked --version "$version" --no-default-features \
  --features bundled-libs,lmdb --root "$cache/$version"
rm -rf "$cache/target"
