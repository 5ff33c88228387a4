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

# The stamp is a copy of the lock, put there when all is installed.
ready() {
    cmp -s "requirements/$1.txt" ".venv/$1.txt" &&
        .venv/bin/python -c 'import d2l_gan' 2>/dev/null
}

if [ -z "${PYTHON:-}" ]; then
    for stamp in .venv/python3.*.txt; do
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
mxnet=${D2L_GAN_MXNET:-mxnet}

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
# MXNet's builds for GPUs have other names.
sed "s/^mxnet==/$mxnet==/" "requirements/$lock.txt" > .venv/packages.txt
install -r .venv/packages.txt
install --no-deps --no-build-isolation --editable .
cp "requirements/$lock.txt" ".venv/.$lock.txt"
mv ".venv/.$lock.txt" ".venv/$lock.txt"
