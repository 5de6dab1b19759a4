#!/bin/sh
# Stands for systemd's on a host of the bed: asks its supervisor, whose answer is the exit code, then what is printed.
verb='' unit='' asked=''
while [ $# -gt 0 ]; do
  case $1 in
    -p | --property) asked="$asked&property=$2"; shift ;;
    --property=*) asked="$asked&property=${1#*=}" ;;
    -p*) asked="$asked&property=${1#-p}" ;;
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$1; else unit=$1; fi ;;
  esac
  shift
done
said=$(curl -sS --unix-socket /run/supervisor.sock "http://supervisor/$verb?unit=$unit$asked") || exit 1
code=$(printf '%s\n' "$said" | head -n 1)
if [ "$code" = 0 ]; then printf '%s\n' "$said" | tail -n +2; else printf '%s\n' "$said" | tail -n +2 >&2; fi
exit "$code"
