# shellcheck shell=sh disable=SC2154
# What ./run and ./test share: the virtual environment, and Mosquitto. Sourced, with $program (for messages) and $here (the
# checkout) set. Everything may be run again at any time, by several at once, and after having been killed.

venv=$here/.venv
# What Python compiles stays in this folder. Where it may not (containers often set this), every start compiles PyTorch anew.
unset PYTHONDONTWRITEBYTECODE

say() { printf '%s: %s\n' "$program" "$*" >&2; }
fail() { say "$*"; exit 1; }

# ---- Python ----------------------------------------------------------------------------------------------------------

# How to get Debian's, Fedora's, ... packages called $1, $2, $3, $4 (apt, dnf, apk, brew), in one line.
install_hint() {
  sudo='sudo '
  [ "$(id -u)" != 0 ] || sudo=
  if command -v apt-get >/dev/null 2>&1; then echo "${sudo}apt-get install $1"
  elif command -v dnf >/dev/null 2>&1; then echo "${sudo}dnf install $2"
  elif command -v apk >/dev/null 2>&1; then echo "${sudo}apk add $3"
  elif command -v brew >/dev/null 2>&1; then echo "brew install $4"
  else echo "see https://www.python.org/downloads/"; fi
}

# Sets $python to a Python of 3.11 or later that can make virtual environments ($PYTHON, if set, before others).
find_python() {
  old='' bare=''
  for python in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python; do
    command -v "$python" >/dev/null 2>&1 || continue
    # shellcheck disable=SC2016
    said=$("$python" -c '
import sys
word = "ok" if sys.version_info >= (3, 11) else "old"
try:
    import ensurepip, venv
except ImportError:
    word = "bare" if word == "ok" else word
print(word, "%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    case $said in
      ok*) return ;;
      bare*) [ -n "$bare" ] || bare=$python ;;
      old*) [ -n "$old" ] || old="$python is ${said#old }" ;;
    esac
  done
  if [ -n "$bare" ]; then
    package=$bare-venv
    fail "$bare cannot make virtual environments; get it with: $(install_hint "${package##*/}" python3 python3 python@3.13)"
  fi
  fail "Python 3.11 or later is needed${old:+ ($old)}; get it with: $(install_hint "python3 python3-venv" python3.12 python3 python@3.13)"
}

# What the environment was made from: a change of any of these makes it out of date.
made_from() {
  printf '%s %s\n' "$(cat "$here/pyproject.toml" "$here/constraints.txt" "$here/scripts/setup.sh" | cksum)" "$(base)"
}
base() { printf '%s %s\n' "$here" "$(readlink -f "$venv/bin/python" 2>/dev/null)"; }

# is_ready KIND...: whether the environment is up to date for one of the kinds.
is_ready() {
  [ -x "$venv/bin/brokertuner-tui" ] && [ -x "$venv/bin/python" ] && [ ! -e "$venv/.installing" ] || return 1
  now=$(made_from)
  for kind; do
    if [ -r "$venv/.ready-$kind" ] && read -r had <"$venv/.ready-$kind" && [ "$had" = "$now" ]; then return 0; fi
  done
  return 1
}

# setup_python run|test: makes or updates the environment, if it is not up to date.
setup_python() {
  case $1 in run) kinds='run test' extras='[serve]' ;; test) kinds=test extras='[dev]' ;; esac
  # shellcheck disable=SC2086
  if is_ready $kinds; then return; fi
  find_python
  [ -w "$here" ] || fail "cannot write to $here, where the virtual environment goes"
  # A lock that ends with the last process that holds it: also a pip whose ./run was killed keeps others out.
  exec 9<"$here"
  lock LOCK_NB || {
    say "waiting for another set-up of $venv"
    lock 0
  }
  # shellcheck disable=SC2086
  is_ready $kinds || make_ready "$1" "$extras"
  exec 9<&-
}

# lock LOCK_NB|0: locks file descriptor 9, without waiting or with (a file system without locks goes on without).
lock() {
  "$python" -c "
import fcntl, sys
from fcntl import LOCK_NB
try:
    fcntl.flock(9, fcntl.LOCK_EX | $1)
except BlockingIOError:
    sys.exit(1)
except OSError:
    pass" 9<&9
}

make_ready() {
  began=$(date +%s) log=$venv/setup.log
  if [ ! -e "$venv/.base" ] && [ ! -e "$venv/.installing" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    base >"$venv/.base" # made by hand: kept, and added to
  fi
  if [ -e "$venv/.installing" ] || [ "$(cat "$venv/.base" 2>/dev/null)" != "$(base)" ]; then
    say "setting up in $venv, once (packages are downloaded, PyTorch among them: this takes a while)"
    rm -rf "$venv"
    mkdir "$venv"
    : >"$venv/.installing"
    "$python" -m venv "$venv" >"$log" 2>&1 || setup_failed "the virtual environment could not be made"
    base >"$venv/.base"
  else
    say "bringing $venv up to date"
  fi
  rm -f "$venv"/.ready-*
  # Where pip is killed in mid-write, this file stays, and the next set-up starts over.
  : >"$venv/.installing"
  code=0
  # no-compile: of what torch and others bring, most is never imported; the rest is compiled when it is first.
  (unset PIP_USER PIP_TARGET PIP_PREFIX PYTHONHOME PYTHONPATH
    cd "$here" && exec "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --no-compile \
      --config-settings editable_mode=compat -c constraints.txt -e ".$2") >>"$log" 2>&1 </dev/null || code=$?
  [ "$code" -gt 128 ] || rm -f "$venv/.installing"
  [ "$code" = 0 ] || setup_failed "packages could not be installed"
  made_from >"$venv/.ready-new"
  mv "$venv/.ready-new" "$venv/.ready-$1"
  say "ready after $(($(date +%s) - began)) s"
}

setup_failed() {
  say "$1; the end of $log:"
  tail -n 12 "$log" | sed 's/^/  /' >&2
  exit 1
}

# ---- Mosquitto -------------------------------------------------------------------------------------------------------

# The system's Mosquitto, if there is one (the folders are those of brokertuner_tui/broker/find.py).
system_mosquitto() {
  command -v mosquitto 2>/dev/null && return
  for program_file in /usr/sbin /usr/local/sbin /opt/homebrew/sbin /usr/local/opt/mosquitto/sbin; do
    [ ! -x "$program_file/mosquitto" ] || { echo "$program_file/mosquitto"; return; }
  done
  return 1
}

# wants_mosquitto ARGS: whether the command starts a broker of ours and names none.
wants_mosquitto() {
  [ -z "${BROKERTUNER_BROKER_MOSQUITTO:-}" ] || return 1
  before=''
  for arg; do
    case $arg in -h | --help | --mosquitto | --mosquitto=* | --host | --host=*) return 1 ;; esac
    case $before$arg in --broker=managed | --brokermanaged) ;; --broker=* | --broker?*) return 1 ;; esac
    before=''
    [ "$arg" != --broker ] || before=$arg
  done
  for arg; do
    case $arg in
      launch | train | evaluate | workload | serve | doctor) return 0 ;;
      knobs | runs | config | paths) return 1 ;;
    esac
  done
  return 1
}

# Whether the config names a Mosquitto (or is wrong, which the program will say better).
config_names_mosquitto() {
  "$venv/bin/python" - "$@" <<'EOF'
import sys
from pathlib import Path

from brokertuner_tui.config.load import load_settings
from brokertuner_tui.errors import TunerError

args = sys.argv[1:]
file = next((arg.partition("=")[2] for arg in args if arg.startswith("--config=")), None)
if "--config" in args[:-1]:
    file = args[args.index("--config") + 1]
try:
    named = load_settings(config_file=Path(file) if file else None).settings.broker.mosquitto is not None
except TunerError:
    named = True
sys.exit(not named)
EOF
}

# setup_mosquitto ARGS: sees to it that there is a Mosquitto for the command; where none can be had, the program says so.
setup_mosquitto() {
  wants_mosquitto "$@" || return 0
  system_mosquitto >/dev/null && return 0
  folder=${BROKERTUNER_MOSQUITTO_DIR:-${XDG_DATA_HOME:-${HOME:-}/.local/share}/brokertuner-tui/mosquitto}
  [ ! -x "$folder/mosquitto" ] || return 0
  if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then return 0; fi
  if config_names_mosquitto "$@"; then return 0; fi
  "$here/scripts/get-mosquitto" "" "$folder" >/dev/null || true
}
