# Restarts the unit $1, or runs the command $2 where there is none; may take $3 seconds. Says last what time it is here then.
if [ -n "$1" ]; then
  timeout -k 5 "$3" systemctl restart -- "$1" </dev/null
else
  timeout -k 5 "$3" sh -c "$2" </dev/null
fi
code=$?
if [ "$code" = 0 ]; then printf '\n'; date -u +%s.%N; fi
exit "$code"
