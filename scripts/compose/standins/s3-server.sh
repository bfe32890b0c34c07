#!/bin/sh
# s3-server of this workspace in the place of /garage: the two commands that docker-compose.yml and the test give it.
set -eu
folder=/var/lib/garage/data/s3
case "$*" in
  "server --single-node --default-bucket")
    export S3_ACCESS_KEY="$GARAGE_DEFAULT_ACCESS_KEY" S3_SECRET_KEY="$GARAGE_DEFAULT_SECRET_KEY"
    exec /s3-server --listen 0.0.0.0:3900 --folder "$folder" --bucket "$GARAGE_DEFAULT_BUCKET"
    ;;
  "bucket info "*)
    wget -q -O /dev/null --timeout 2 --tries 1 --content-on-error http://127.0.0.1:3900/ || [ $? = 8 ]
    echo "Objects: $(find "$folder/$3" -type f | wc -l)"
    echo "Unfinished multipart uploads: $(find "$folder/.uploads" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)"
    ;;
  *)
    echo "not a command of the stand-in: $*" >&2
    exit 1
    ;;
esac
