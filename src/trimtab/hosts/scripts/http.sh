# Asks for the URL $1, which must answer 2xx within $2 seconds.
if command -v curl >/dev/null 2>&1; then
  code=$(curl -sS -o /dev/null -w '%{http_code}' --max-time "$2" -- "$1") || exit 1
  case $code in 2??) exit 0 ;; esac
  echo "$1 answers HTTP $code, expected 2xx" >&2
  exit 1
fi
if command -v wget >/dev/null 2>&1; then exec wget -nv -O /dev/null --max-redirect=0 -T "$2" -t 1 -- "$1"; fi
echo "neither curl nor wget is installed" >&2
exit 127
