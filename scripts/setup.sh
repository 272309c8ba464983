#!/usr/bin/env bash
# Makes this checkout ready to work: a virtual environment with the locked packages, and a
# container engine that answers. Does nothing that is done already.
#
#     scripts/setup.sh          both
#     scripts/setup.sh python   the virtual environment alone
#     scripts/setup.sh tests    both, and the two Debian packages that only our own suite needs
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 2; }

debian_root() { [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ] && command -v apt-get >/dev/null; }

apt_updated=''
apt_install() {
    if [ -z "$apt_updated" ]; then
        DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null
        apt_updated=yes
    fi
    say "installing $* (apt-get)"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null </dev/null
}

# -- Python ---------------------------------------------------------------------------------------

find_python() {
    for name in python3.13 python3.12 python3.11 python3; do
        if command -v "$name" >/dev/null \
            && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
}

make_environment() {
    local python stamp wanted
    wanted=$(cat requirements.lock pyproject.toml scripts/setup.sh | sha256sum | cut -d' ' -f1)
    stamp=.venv/.byoc-setup
    if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted $PWD" ]; then
        return
    fi
    python=$(find_python)
    if [ -z "$python" ] && debian_root; then
        apt_install python3 python3-venv
        python=$(find_python)
    fi
    [ -n "$python" ] || die "Python 3.11 or newer is needed, and none was found. Install it from your system or https://www.python.org/downloads/."
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        debian_root || die "$python cannot make a virtual environment: install your system's python3-venv."
        apt_install python3-venv
        rm -rf .venv
        "$python" -m venv .venv
    fi
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps -e .
    printf '%s' "$wanted $PWD" >"$stamp"
}

# -- the engine -----------------------------------------------------------------------------------

engine() { .venv/bin/python -m emulator.engines.connect; }

runs_as() { [ -n "$1" ] && [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ]; }

# A pid file survives a crash; dockerd refuses to start while the number in it is in use by anybody.
drop_stale_pid() {
    local file=$1 name=$2
    if [ -f "$file" ] && ! runs_as "$(cat "$file" 2>/dev/null)" "$name"; then
        say "removing the stale $file"
        rm -f "$file"
    fi
}

start_dockerd() {
    local log=/var/log/byoc-dockerd.log
    drop_stale_pid /var/run/docker.pid dockerd
    drop_stale_pid /run/docker/containerd/containerd.pid containerd
    say "starting dockerd (log: $log; stop it with: kill \$(cat /var/run/docker.pid))"
    # Away from this terminal and its pipes: who waits for our output must not wait for dockerd.
    setsid nohup dockerd >"$log" 2>&1 </dev/null &
    local started=$!
    for _ in $(seq 1 120); do
        if engine >/dev/null 2>&1; then
            return
        fi
        # Ours may have ended because another one is starting; that one is worth the wait.
        if ! kill -0 "$started" 2>/dev/null && ! runs_as "$(cat /var/run/docker.pid 2>/dev/null)" dockerd; then
            break
        fi
        sleep 0.5
    done
    printf 'setup: the end of %s:\n' "$log" >&2
    tail -n 10 "$log" >&2
    die "dockerd does not answer (see above). Inside a container, it needs one that runs with --privileged."
}

ensure_engine() {
    local why
    if why=$(engine 2>&1); then
        say "$why"
        return
    fi
    if [ -n "${DOCKER_HOST:-}${DOCKER_CONTEXT:-}" ] || ! debian_root; then
        printf '%s\n' "$why" >&2
        die "no container engine can be used; see above for what to do."
    fi
    if ! command -v dockerd >/dev/null; then
        apt_install docker.io iptables
    fi
    # A package's own service may have started by now.
    if ! engine >/dev/null 2>&1; then
        start_dockerd
    fi
    say "$(engine)"
}

# -- for our own suite: an image with an OCI manifest, in a real registry -------------------------

ensure_test_tools() {
    if command -v skopeo >/dev/null && command -v docker-registry >/dev/null; then
        return
    fi
    debian_root || die "our own suite needs skopeo and docker-registry: install them, or run \`make test-fast\`."
    apt_install skopeo docker-registry
}

case ${1:-} in
    '' | python | tests) ;;
    *) die "there is no '$1'; expected nothing, 'python' or 'tests'." ;;
esac
make_environment
if [ "${1:-}" != python ]; then
    ensure_engine
fi
if [ "${1:-}" = tests ]; then
    ensure_test_tools
fi
