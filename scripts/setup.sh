#!/usr/bin/env bash
# Makes this checkout ready to work: a virtual environment with the locked packages, and a
# container engine that answers. Does nothing that is done already.
#
#     scripts/setup.sh          both
#     scripts/setup.sh python   the virtual environment alone
#     scripts/setup.sh tests    both, and what only our own suite needs: skopeo, a registry, a browser,
#                               and AWS's clients: for JavaScript, for the command line, the SageMaker
#                               SDK, the CDK
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
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null </dev/null \
        || die "apt-get could not install $*; its words are above."
}

# What a directory was made of: files, the words of how, and where it stands (its scripts know).
recipe() {
    local how=$1
    shift
    { cat "$@" && printf '%s %s' "$how" "$PWD"; } | sha256sum | cut -d' ' -f1
}

is_done() {
    local directory=$1
    shift
    [ "$(cat "$directory/.byoc-setup" 2>/dev/null)" = "$(recipe "$@")" ]
}

now_done() {
    local directory=$1
    shift
    recipe "$@" >"$directory/.byoc-setup"
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
    if [ -x .venv/bin/python ] && is_done .venv "$(declare -f make_environment)" requirements.lock pyproject.toml; then
        return
    fi
    make_venv .venv
    pip_install .venv --require-hashes -r requirements.lock
    pip_install .venv --no-deps -e .
    now_done .venv "$(declare -f make_environment)" requirements.lock pyproject.toml
}

make_venv() {
    local python
    python=$(find_python)
    if [ -z "$python" ] && debian_root; then
        apt_install python3 python3-venv
        python=$(find_python)
    fi
    [ -n "$python" ] || die "Python 3.11 or newer is needed, and none was found. Install it from your system or https://www.python.org/downloads/."
    say "making $1 with $("$python" --version)"
    rm -rf "$1"
    if ! "$python" -m venv "$1" >/dev/null 2>&1; then
        debian_root || die "$python cannot make a virtual environment: install your system's python3-venv."
        apt_install python3-venv
        rm -rf "$1"
        "$python" -m venv "$1"
    fi
}

pip_install() {
    local directory=$1
    shift
    "$directory/bin/python" -m pip install -q --disable-pip-version-check "$@"
}

# -- the engine -----------------------------------------------------------------------------------

engine() { .venv/bin/python -m emulator.engines.connect; }

# One that ended and that nobody has waited for (a zombie) keeps its number, but has no program.
runs_as() {
    [ -n "$1" ] && [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ] && readlink "/proc/$1/exe" >/dev/null 2>&1
}

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

# -- for our own suite -----------------------------------------------------------------------------

# A Debian package, and the commands of which one will do.
TOOLS=(
    'iproute2 ip'
    'skopeo skopeo'
    'docker-registry docker-registry'
    'chromium chromium chromium-browser google-chrome'
    'nodejs node'
    'npm npm'
)

has_any() {
    local name
    for name in "$@"; do
        if command -v "$name" >/dev/null; then
            return
        fi
    done
    return 1
}

ensure_test_tools() {
    local line words missing=()
    for line in "${TOOLS[@]}"; do
        read -ra words <<<"$line"
        has_any "${words[@]:1}" || missing+=("${words[0]}")
    done
    if [ "${#missing[@]}" = 0 ]; then
        return
    fi
    debian_root || die "our own suite needs ${missing[*]}: install them from your system, or run \`make test-fast\`."
    apt_install "${missing[@]}"
}

NODE=18

node_is_new_enough() {
    local found
    found=$(node -p process.versions.node)
    [ "${found%%.*}" -ge "$NODE" ] || die "our own suite needs Node.js $NODE or newer, and $(command -v node) is $found: install a newer one from your system or https://nodejs.org/, or run \`make test-fast\`."
}

make_node_modules() {
    local directory=$1 what=$2
    if is_done "$directory/node_modules" '' "$directory/package.json" "$directory/package-lock.json"; then
        return
    fi
    say "installing $what (npm ci)"
    (cd "$directory" && npm ci --silent --no-audit --no-fund --ignore-scripts </dev/null) \
        || die "npm could not install what $directory/package-lock.json names; \`cd $directory && npm ci\` shows why."
    now_done "$directory/node_modules" '' "$directory/package.json" "$directory/package-lock.json"
}

# Each in an environment of its own: they pin libraries that others want in other versions.
make_client() {
    local environment=$1 lock=$2/requirements.lock what=$3
    if [ -x "$environment/bin/python" ] && is_done "$environment" "$(declare -f make_client)" "$lock"; then
        return
    fi
    say "installing $what"
    make_venv "$environment"
    pip_install "$environment" --require-hashes -r "$lock"
    now_done "$environment" "$(declare -f make_client)" "$lock"
}

# For the stacks of container/deploy/cdk: half a gigabyte, and it needs Node.js to run.
make_cdk() {
    local pins=container/deploy/cdk/requirements.txt
    if [ -x .venv-cdk/bin/python ] && is_done .venv-cdk "$(declare -f make_cdk)" "$pins"; then
        return
    fi
    say "installing the AWS CDK's libraries"
    make_venv .venv-cdk
    pip_install .venv-cdk -r "$pins"
    now_done .venv-cdk "$(declare -f make_cdk)" "$pins"
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
    node_is_new_enough
    make_node_modules tests/javascript 'the AWS SDK for JavaScript'
    make_node_modules tests/cdk_cli 'the CDK CLI'
    make_client .venv-aws tests/aws_cli 'the AWS CLI'
    make_client .venv-sagemaker tests/sagemaker_sdk 'the SageMaker Python SDK'
    make_cdk
fi
