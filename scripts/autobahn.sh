#!/usr/bin/env bash
# Runs Autobahn's fuzzing client against the gateway's frame codec on a real socket (web-proxy/examples/echo.rs) and fails
# unless every case passes. The client is written for Python 2.7, which no current Debian has; so this is not part of `make test`.
#   scripts/autobahn.sh [CASES…]     cases as Autobahn names them; without any: 1 to 7 and 10 (9, large messages, takes minutes)
# ECHO=<program> takes a built echo server, PYTHON27=<program> a certain Python. Reports: target/autobahn/reports/index.html
set -euo pipefail
cd "$(dirname "$0")/.."
work=${CARGO_TARGET_DIR:-target}/autobahn
mkdir -p "$work"
work=$(cd "$work" && pwd)
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=('1.*' '2.*' '3.*' '4.*' '5.*' '6.*' '7.*' '10.*')
suite=autobahntestsuite==25.10.1

# The first Python 2.7 that runs: one named, one on the PATH, pyenv's.
python27() {
  local candidate
  for candidate in "${PYTHON27:-}" python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7; do
    if [ -n "$candidate" ] && "$candidate" -c 'import ssl, ctypes' >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

if ! python=$(python27); then
  cat >&2 <<TEXT
Autobahn's client needs Python 2.7 and there is none here. Debian 11 (bullseye) is the last with one: on such a system
\`apt-get install python2.7-dev gcc\`, elsewhere \`pyenv install 2.7.18\`; then again with PYTHON27=/path/to/python2.7.
What web-proxy's own tests cover of its cases stands in web-proxy/tests/vectors/autobahn.md.
TEXT
  exit 1
fi

site=$work/site
# Not by PYTHONPATH: zope.interface is found through a .pth file, and these are read in site folders only.
wstest='import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; sys.exit(run())'
if ! "$python" -c "$wstest" "$site" --help >/dev/null 2>&1; then
  echo "== $suite from PyPI"
  "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip --user >/dev/null
  "$python" -m pip install --quiet --disable-pip-version-check --target "$site" "$suite"
fi

if [ -z "${ECHO:-}" ]; then
  cargo build --locked -p web-proxy --example echo
  ECHO=${CARGO_TARGET_DIR:-target}/debug/examples/echo
fi

exec {port_from}< <(exec "$ECHO")
echo_pid=$!
trap 'kill "$echo_pid" 2>/dev/null || true' EXIT
read -r port <&"$port_from"

rm -rf "$work/reports"
printf '%s\n' "${cases[@]}" | "$python" -c '
import json, sys
port, reports = sys.argv[1:]
json.dump({
    "outdir": reports,
    "servers": [{"agent": "sluice", "url": "ws://127.0.0.1:" + port}],
    "cases": sys.stdin.read().split(),
    "exclude-cases": [],
    "exclude-agent-cases": {},
}, sys.stdout)' "$port" "$work/reports" >"$work/client.json"

echo "== Autobahn's fuzzing client: ${cases[*]}"
(cd "$work" && "$python" -c "$wstest" "$site" --mode fuzzingclient --spec "$work/client.json" >"$work/client.log" 2>&1) || {
  tail -20 "$work/client.log" >&2
  exit 1
}

"$python" - "$work/reports/index.json" <<'PYTHON'
from __future__ import print_function
import json, sys
results = json.load(open(sys.argv[1])).get("sluice", {})
verdicts = {}
failed = []
for case, result in sorted(results.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
    # How the case went, and how the connection was closed. INFORMATIONAL is a case with no right answer.
    verdicts[result["behavior"]] = verdicts.get(result["behavior"], 0) + 1
    if result["behavior"] not in ("OK", "INFORMATIONAL") or result["behaviorClose"] not in ("OK", "INFORMATIONAL"):
        failed.append("%s: %s, close %s" % (case, result["behavior"], result["behaviorClose"]))
print("%d cases: %s" % (len(results), ", ".join("%d %s" % (count, name) for name, count in sorted(verdicts.items()))))
for line in failed:
    print("NOT OK", line)
if failed or not results:
    sys.exit(1)
PYTHON
