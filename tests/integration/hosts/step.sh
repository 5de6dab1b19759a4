#!/bin/sh
# Stands in front of a program of a host while a test watches what commands of others run there: notes that it is about to run, and
# waits where it is told to, `cat` with the first bytes of what it copies already written.
steps=/run/faults/steps name=${0##*/} number=0
[ ! -e "$steps/$name" ] || read -r number < "$steps/$name"
number=$((number + 1))
echo "$number" > "$steps/$name"
echo "$name $number: $*" >> "$steps/log"
if [ -e "$steps/stop-$name-$number" ]; then
  if [ "$name$#" = cat0 ]; then /usr/bin/dd bs=1 count=200 status=none; fi
  echo "$name $number: $*" > "$steps/here"
  until [ -e "$steps/go" ] || [ ! -e "$steps" ]; do /usr/bin/sleep 0.01; done
fi
[ ! -x "/usr/bin/$name" ] || exec "/usr/bin/$name" "$@"
exec "/bin/$name" "$@"
