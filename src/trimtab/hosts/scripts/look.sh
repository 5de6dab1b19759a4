# Prints the limits of the unit $1 ("": none) and the version of the Claude Code terminal, a KEY=VALUE each, as far as they are there.
if [ -n "$1" ] && command -v systemctl >/dev/null 2>&1; then
  timeout 10 systemctl show -p ActiveState,LimitNOFILE,LimitNPROC,MemoryMax,TasksMax -- "$1" </dev/null
fi
if command -v claude >/dev/null 2>&1; then
  printf 'claude=%s\n' "$(timeout 10 claude --version </dev/null 2>/dev/null | head -n 1)"
fi
exit 0
