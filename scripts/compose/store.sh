#!/usr/bin/env bash
# Puts the S3 server of the compose run at scripts/compose/standins/store/garage: Garage when it is in the cache (argument: the cache
# folder) or S3=garage has it compiled; else, or with S3=s3-server, this workspace's s3-server under Garage's name.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$(sed -nE 's|^ *image: dxflrs/garage:v([0-9.]*)$|\1|p' docker-compose.yml)
garage=$1/garage/$version/bin/garage
into=scripts/compose/standins/store
rm -rf "$into"
mkdir -p "$into"
if [ "${S3:-}" = garage ]; then
  scripts/compose/garage.sh "$1"
fi
if [ "${S3:-}" != s3-server ] && [ -x "$garage" ]; then
  echo "   the store: Garage $version"
  strip -o "$into/garage" "$garage"
else
  echo "   the store: s3-server of this workspace (S3=garage compiles Garage)"
  cargo build --quiet --locked -p s3-server
  strip -o "$into/s3-server" "${CARGO_TARGET_DIR:-target}/debug/s3-server"
  install -m 0755 scripts/compose/standins/s3-server.sh "$into/garage"
fi
