#!/bin/sh
# Makes .venv from the lock for a Python found here, with uv where there is
# one, else with pip. Does nothing where .venv has that lock already.
set -eu
cd "$(dirname "$0")/.."

say() { echo "$*" >&2; }

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null ||
        true
}

# MXNet's builds for GPUs have other names. Unless one is asked for, the build
# that is there stays.
stamps='.venv/python3.*.txt'
build=${D2L_GAN_MXNET:-$(sed -n 's/^\(mxnet[^=]*\)==.*/\1/p' $stamps \
    2>/dev/null || true)}
D2L_GAN_MXNET=${build:-mxnet}
export D2L_GAN_MXNET

packages() { sed "s/^mxnet==/$D2L_GAN_MXNET==/" "requirements/$1.txt"; }

# The stamp is the list of packages, put there when all are installed.
ready() {
    packages "$1" 2>/dev/null | cmp -s - ".venv/$1.txt" &&
        .venv/bin/python -c 'import d2l_gan' 2>/dev/null
}

if [ -z "${PYTHON:-}" ]; then
    for stamp in $stamps; do
        ready "$(basename "$stamp" .txt)" && exit 0
    done
fi

found=
for python in ${PYTHON:-python3.11 python3.12 python3.10 python3.9 python3}; do
    version=$(version_of "$python")
    [ -n "$version" ] || continue
    found="${found:+$found, }$python is $version"
    [ -f "requirements/python$version.txt" ] || continue
    break
done
if [ ! -f "requirements/python${version:-}.txt" ]; then
    say "This needs Python 3.9, 3.10, 3.11 or 3.12 (MXNet has wheels for no" \
        "other); found: ${found:-none}. Name one: make PYTHON=/path/to/python"
    exit 1
fi
lock="python$version"
ready "$lock" && exit 0

count=$(grep -c '==' "requirements/$lock.txt")
say "Installing $count packages for Python $version into .venv" \
    "(about 1 GB; minutes with pip, seconds with uv) ..."
if uv --version >/dev/null 2>&1; then
    uv venv --quiet --clear --python "$(command -v "$python")" .venv
    install() { uv pip install --quiet --python .venv/bin/python "$@"; }
elif "$python" -m venv --clear .venv; then
    install() {
        .venv/bin/python -m pip install --disable-pip-version-check "$@"
    }
else
    say "$python cannot make a virtual environment: install its venv package" \
        "(Debian: apt install python$version-venv), or uv"
    exit 1
fi
packages "$lock" > .venv/packages.txt
install -r .venv/packages.txt
install --no-deps --no-build-isolation --editable .
mv .venv/packages.txt ".venv/$lock.txt"
