#!/usr/bin/env bash
# Whether a service answers, for health checks: `answers http HOST PORT PATH`, `answers kafka HOST PORT`, `answers valkey HOST
# PORT`. Each asks in the service's own words and wants an answer within 3 s: a port that is open proves nothing, for the kernel
# opens it. A few milliseconds, where a Java tool takes a second of CPU and Python a tenth.
set -eu
kind=$1 host=$2 port=$3
exec 3<>"/dev/tcp/$host/$port"
case $kind in
  http)
    printf 'GET %s HTTP/1.0\r\n\r\n' "$4" >&3
    read -r -t 3 _ code _ <&3
    [ "$code" = 200 ]
    ;;
  kafka) # ApiVersions v0 with number 1, of a client without a name; the answer begins with its length and that number
    printf '\0\0\0\12\0\22\0\0\0\0\0\1\377\377' >&3
    [ "$(timeout 3 head -c 8 <&3 | tail -c 4 | od -An -tx1 | tr -d ' ')" = 00000001 ]
    ;;
  valkey) # anything but PONG: it still loads its files
    printf 'PING\r\n' >&3
    read -r -t 3 said <&3
    [ "$said" = $'+PONG\r' ]
    ;;
esac
