#!/bin/sh
# Makes .venv-classroom, which has what slides and graded notebooks need (the
# extra `classroom` of setup.py) and sees all that is in .venv. Does nothing
# where it has that already.
set -eu
cd "$(dirname "$0")/.."

env=.venv-classroom
wanted=$(.venv/bin/python -c '
import runpy, setuptools
setuptools.setup = lambda **facts: print(
    *facts["extras_require"]["classroom"], sep="\n")
runpy.run_path("setup.py")')
[ "$(cat "$env/classroom.txt" 2>/dev/null)" = "$wanted" ] && exit 0

echo "Installing what the classroom needs into $env (once) ..." >&2
.venv/bin/python -m venv --clear "$env"
folder='import sysconfig; print(sysconfig.get_path("purelib"))'
echo "import site; site.addsitedir('$(.venv/bin/python -c "$folder")')" > \
    "$("$env/bin/python" -c "$folder")/book.pth"
echo "$wanted" > "$env/wanted.txt"
lock=$(basename .venv/python3.*.txt)
"$env/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint "requirements/$lock" --requirement "$env/wanted.txt"
mv "$env/wanted.txt" "$env/classroom.txt"
