#!/bin/sh
# Chromium from Debian, for the tests of the dashboard. Only root installs it; on a machine without apt, or for anybody
# else, it says what is missing, and those tests skip with the same words.
set -eu

for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    install() { apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1; }
    install || { apt-get update -qq >/dev/null 2>&1 && install; } || true
fi
command -v chromium >/dev/null 2>&1 ||
    echo "Chromium is missing: the tests of the dashboard are skipped. On Debian, as root: apt-get install chromium" >&2
exit 0
