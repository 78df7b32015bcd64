#!/bin/sh
# Installs the nanobot the tests were measured with into .tools/nanobot of this repository (about 400 MB), and this
# project beside it, so that nanobot finds its tool. An environment of its own: nanobot holds some libraries below the
# versions that understudy takes alone.
set -eu
VERSION=0.3.5
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/scripts/setup.sh"
folder="$here/.tools/nanobot"
stamp="$folder/.installed"
want="$VERSION $(cksum <"$here/pyproject.toml")"
if [ -x "$folder/bin/nanobot" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then exit 0; fi
cannot() {
    say "nanobot-ai $VERSION cannot be installed: the tests marked nanobot need it (or set UNDERSTUDY_TEST_NANOBOT to the"
    say "folder of an environment that has it and this project). It takes 400 MB, and PyPI must be reachable."
    exit 1
}
uv=$(find_uv) || cannot
python=$(find_python) || cannot
say "setting up nanobot for the tests (once; a minute or so) ..."
mkdir -p "$here/.tools"
UV_PYTHON_DOWNLOADS=never "$uv" venv --quiet --clear --python "$python" "$folder" || cannot
"$uv" pip install --quiet --python "$folder/bin/python" "nanobot-ai==$VERSION" --editable "$here" || cannot
printf '%s' "$want" >"$stamp"
"$folder/bin/nanobot" --version
