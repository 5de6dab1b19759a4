# $1: a file. Prints what it is ("file MODE OWNER:GROUP" or "absent"), where links lead, and then every byte of it.
LC_ALL=C; export LC_ALL
real=$(readlink -m -- "$1") || exit 1
# A swap whose connection broke may still be under way: what it leaves is what is read.
swap=$(dirname -- "$real")/.$(basename -- "$real").trimtab/swap
if [ -e "$swap" ]; then flock -w 10 "$swap" true 2>/dev/null; fi
if seen=$(stat -c '%F|%s|%a %U:%G' -- "$real" 2>&1); then
  case $seen in
    "regular file|"* | "regular empty file|"*) ;;
    *) echo "$1: ${seen%%|*}, expected a file" >&2; exit 1 ;;
  esac
  size=${seen#*|}; size=${size%%|*}
  if [ "$size" -gt 16777216 ]; then echo "$1: $size bytes, expected settings" >&2; exit 1; fi
  printf 'file %s\n%s\n' "${seen##*|}" "$real" && exec cat -- "$real"
fi
case $seen in
  *"No such file or directory"*) printf 'absent\n%s\n' "$real" ;;
  # Not being allowed to look is not the same as nothing being there.
  *) echo "$seen" >&2; exit 1 ;;
esac
