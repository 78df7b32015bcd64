#!/bin/sh
# Installs the claude CLI the tests were measured with into .tools/ of this repository. Needs npm; nothing is global.
# The CLI is only ever pointed at servers on this machine by the tests.
set -eu
VERSION=2.1.328
root=$(cd "$(dirname "$0")/.." && pwd)
claude="$root/.tools/node_modules/.bin/claude"
if [ -x "$claude" ] && "$claude" --version 2>/dev/null | grep -q "^$VERSION "; then
    exit 0
fi
if ! command -v npm >/dev/null 2>&1; then
    echo "npm is missing: the tests marked claude need it (or set UNDERSTUDY_TEST_CLAUDE to a claude $VERSION)." >&2
    exit 1
fi
mkdir -p "$root/.tools"
npm install --prefix "$root/.tools" --no-save --no-audit --no-fund --loglevel=error "@anthropic-ai/claude-code@$VERSION"
"$claude" --version
