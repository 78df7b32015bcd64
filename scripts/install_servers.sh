#!/bin/sh
# Unpacks Redis and PostgreSQL from Debian's packages into .tools/servers for the tests of the shared stores. Nothing is
# installed system-wide and no service is started; what the machine has already is used as it is. Root is needed only
# when the machine has no package lists yet. On a machine without apt it says what is missing, and the tests that need
# a server skip with the same words.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
folder="$root/.tools/servers"

missing() {
    echo "$1 is missing: the tests of the shared quota book on it are skipped. On Debian: apt-get install $2" >&2
}

have() { # NAME: in the PATH, beside Debian's PostgreSQL, or unpacked here
    command -v "$1" >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/"$1" "$folder"/usr/bin/"$1" \
        "$folder"/usr/lib/postgresql/*/bin/"$1" 2>/dev/null | grep -q .
}

unpack() { # PACKAGE: with those of its dependencies the machine does not have
    command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || return 1
    list=$(apt-get install -s --no-install-recommends "$1" 2>/dev/null | sed -n 's/^Inst \([^ ]*\).*/\1/p')
    if [ -z "$list" ] && [ "$(id -u)" = 0 ]; then
        apt-get update -qq >/dev/null 2>&1 || return 1
        list=$(apt-get install -s --no-install-recommends "$1" 2>/dev/null | sed -n 's/^Inst \([^ ]*\).*/\1/p')
    fi
    [ -n "$list" ] || return 1
    fresh=$(mktemp -d)
    # As root apt drops its rights for the download, and must be able to write there.
    chmod 755 "$fresh"
    # shellcheck disable=SC2086  the list is words
    (cd "$fresh" && apt-get download -qq -o APT::Sandbox::User=root $list) >/dev/null 2>&1 || {
        rm -rf "$fresh"
        return 1
    }
    mkdir -p "$folder"
    for package in "$fresh"/*.deb; do dpkg -x "$package" "$folder"; done
    rm -rf "$fresh"
}

have redis-server || unpack redis-server || missing redis-server redis-server
have initdb || unpack postgresql || missing PostgreSQL postgresql
exit 0
