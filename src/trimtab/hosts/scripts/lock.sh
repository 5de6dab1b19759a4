# Holds the lock of files for as long as somebody is there: prints "held", then wants a byte at least every $3 seconds and ends
# with the last one, with "q", or with the connection. Refused it prints "refused", who holds it and since when.
#
# $1: who. $2: a token that names this lock. $3: seconds. $4...: the files.
set -u
LC_ALL=C; export LC_ALL
umask 077
who=$1 token=$2 seconds=$3; shift 3

beat() {
  echo held
  while heard=$(timeout "$seconds" dd bs=1 count=1 2>/dev/null) && [ -n "$heard" ] && [ "$heard" != q ]; do :; done
}

hold() {
  if [ $# = 0 ]; then beat; return; fi
  real=$(readlink -m -- "$1") || exit 1
  folder=$(dirname -- "$real"); name=$(basename -- "$real"); kept=$folder/.$name.trimtab
  shift
  (umask 022; mkdir -p -- "$folder") && mkdir -p -- "$kept" && exec 9>"$kept/lock" || exit 1
  # One that was killed a moment ago is given the time to be noticed.
  tries=0
  until flock -n 9; do
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then holder=$(readlink -- "$kept/holder"); echo "refused ${holder#* }"; exit 3; fi
    sleep 0.1
  done
  # A link keeps its text in its name: it can be made on a full disk.
  ln -sfn -- "$token $who since $(date -u +%Y-%m-%dT%H:%M:%SZ)" "$kept/holder" || :
  # What lies there was left by one that was killed with all that it did here.
  find "$folder" -maxdepth 1 -name ".$name.trimtab-new-*" -exec rm -f -- {} +
  (hold "$@")
  came=$?
  rm -f -- "$kept/holder"
  return $came
}

hold "$@"
