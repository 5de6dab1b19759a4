# Prints the versions that are kept of the file $1: "NUMBER-SHA256 SECONDS" each, the oldest first.
real=$(readlink -m -- "$1") || exit 1
kept=$(dirname -- "$real")/.$(basename -- "$real").trimtab
if [ ! -e "$kept" ]; then exit 0; fi
find "$kept" -maxdepth 1 -name '[0-9]*-*' -printf '%f %T@\n' | sort
