# Puts content in the place of a file, or one of its versions, or nothing; whoever reads it sees the old or the new one.
#
# $1: write (content on standard input), restore (the version that has the digest $4) or remove
# $2: the file. $3: what it must have now: its SHA-256, or "absent". $4: what it has afterwards, alike.
# $5: the mode of a file that was not there. $6: the token of the lock that must be held ("": none). $7: seconds in which the content
# must have come: of a sender that lost its power nothing is heard for hours, and nobody else may write as long as it is waited for.
#
# Exit codes: 0 done, or was so already; 3 the file has other content than $3; 4 no version has the digest $4; 5 the lock was lost;
# anything else: what is said on standard error. In every case but 0 the file is what it was.
set -eu
LC_ALL=C; export LC_ALL
umask 077
how=$1 before=$3 after=$4 mode=$5 token=$6 seconds=${7:-60}
real=$(readlink -m -- "$2")
folder=$(dirname -- "$real"); name=$(basename -- "$real")
kept=$folder/.$name.trimtab
new=$folder/.$name.trimtab-new-$$

digest() {
  if [ -f "$1" ]; then sha256sum <"$1" | cut -c 1-64
  elif [ -e "$1" ] || [ -L "$1" ]; then echo other
  else echo absent
  fi
}

# A version is the old file itself, by a second name: it keeps owner, mode and times, and needs no room on a full disk.
keep() {
  last=$(find "$kept" -maxdepth 1 -name '[0-9]*-*' | sort | tail -n 1)
  number=${last##*/}; number=${number%%-*}; number=$(expr "${number:-0}" + 1)
  version=$kept/$(printf '%06d' "$number")-$before
  ln -- "$real" "$version" 2>/dev/null || cp -a -- "$real" "$version"
}

tidy() {
  find "$kept" -maxdepth 1 -name '[0-9]*-*' | sort | head -n -5 | while read -r version; do rm -f -- "$version"; done
}

as_expected() {
  now=$(digest "$real")
  if [ "$now" = "$before" ]; then return 0; fi
  if [ "$now" = "$after" ]; then exit 0; fi
  echo "$2: was changed by somebody else meanwhile" >&2; exit 3
}

as_locked() {
  if [ -z "$token" ]; then return 0; fi
  if flock -n "$kept/lock" true 8>&-; then echo "the lock was lost" >&2; exit 5; fi
  # On a full disk there may be no name of the holder, but the lock is held all the same.
  case $(readlink -- "$kept/holder" || :) in "$token "* | "") ;; *) echo "the lock was lost" >&2; exit 5 ;; esac
}

(umask 022; mkdir -p -- "$folder")
mkdir -p -- "$kept"
exec 8>"$kept/swap"
flock -w 30 8 || { echo "$2: another change of it is under way" >&2; exit 1; }
if [ -n "$token" ]; then
  as_locked
  # Nobody else writes: what lies there was left by one that was killed.
  find "$folder" -maxdepth 1 -name ".$name.trimtab-new-*" -exec rm -f -- {} +
fi
as_expected "$@"
if [ "$before" = "$after" ]; then exit 0; fi
trap 'rm -f -- "$new"' EXIT
# Where the connection is gone, what is said goes into a broken pipe.
trap 'exit 1' HUP INT TERM PIPE

case $how in
  write)
    (set -C; timeout "$seconds" cat >"$new") || [ $? = 124 ]
    if [ "$(digest "$new")" != "$after" ]; then echo "$2: what arrived is not what was sent" >&2; exit 1; fi
    if [ "$before" = absent ]; then
      if [ "$(id -u)" = 0 ]; then chown --reference="$folder" -- "$new"; fi
      chmod "$mode" -- "$new"
    else
      cp -a --attributes-only -- "$real" "$new"
      touch -- "$new"
      if [ "$(stat -c '%a %u %g' -- "$new")" != "$(stat -c '%a %u %g' -- "$real")" ]; then
        echo "$2: its owner and mode cannot be kept: it belongs to $(stat -c %U -- "$real")" >&2; exit 1
      fi
    fi
    sync -- "$new"
    ;;
  restore)
    old=$(find "$kept" -maxdepth 1 -name "[0-9]*-$after" | sort | tail -n 1)
    if [ -z "$old" ] || [ "$(digest "$old")" != "$after" ]; then exit 4; fi
    # A second name takes the place of the file, so that the version is there until it has.
    ln -- "$old" "$new" 2>/dev/null || cp -a -- "$old" "$new"
    sync -- "$new"
    ;;
esac

# Content may have been long on its way, and somebody else may have gone on meanwhile.
as_locked
as_expected "$@"
if [ "$before" = absent ]; then
  # A second name is given only where there is no such file yet.
  ln -T -- "$new" "$real" 2>/dev/null || mv -n -T -- "$new" "$real"
  if [ "$(digest "$real")" != "$after" ]; then echo "$2: was made by somebody else meanwhile" >&2; exit 3; fi
else
  keep
  if [ "$how" = remove ]; then rm -f -- "$real"; else mv -f -T -- "$new" "$real"; fi
fi
if [ "$how" = restore ]; then rm -f -- "$old"; fi
sync -- "$folder"
tidy
