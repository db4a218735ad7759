#!/bin/sh
# Makes the secrets that docker-compose.yml names, those that are not there yet: `sh ops/compose/secrets.sh [FOLDER]`, default
# ./secrets. To change one, remove its file and run it again. The folder is for its owner alone; the files in it may be read by
# all, for a container's user is another one than the host's.
set -eu
folder=${1:-secrets}
here=$(dirname "$0")
umask 077
mkdir -p "$folder"
for name in valkey_password serving_api_key grafana_password; do
  [ -s "$folder/$name" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$folder/$name"
done
hashed=$(tr -d '\r\n' <"$folder/valkey_password" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -d' ' -f1)
sed "s/PASSWORD_SHA256/$hashed/" "$here/valkey_users.acl" >"$folder/valkey_users.new"
mv "$folder/valkey_users.new" "$folder/valkey_users"
chmod 444 "$folder"/*
ls "$folder"
