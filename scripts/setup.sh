# Sourced by ./start and ./check: puts the locked environment into .venv, with uv from the PATH or from a venv of its own.
# Reads: here (the repository). Offers: sync ARGS...

say() { printf '%s\n' "$*" >&2; }

find_python() {
    for python in python3.13 python3.12 python3.11 python3 python; do
        if command -v "$python" >/dev/null 2>&1 &&
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$python"
            return 0
        fi
    done
    say "understudy needs Python 3.11 or newer. On Debian: apt-get install python3 python3-venv"
    return 1
}

make_venv() { # PYTHON FOLDER: Debian keeps venv in a package of its own
    "$1" -m venv "$2" >/dev/null 2>&1 && return 0
    rm -rf "$2"
    if command -v virtualenv >/dev/null 2>&1 && virtualenv -q -p "$1" "$2"; then return 0; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing python3-venv ..."
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; } >/dev/null 2>&1
        "$1" -m venv "$2" && return 0
    fi
    say "Python's venv module is missing. On Debian: apt-get install python3-venv"
    return 1
}

find_uv() {
    if command -v uv >/dev/null 2>&1; then
        command -v uv
        return 0
    fi
    if [ ! -x "$here/.tools/uv/bin/uv" ]; then
        say "fetching uv, once ..."
        make_venv "$(find_python)" "$here/.tools/uv" &&
            "$here/.tools/uv/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.9' >&2 || return 1
    fi
    printf '%s\n' "$here/.tools/uv/bin/uv"
}

sync() { # ARGS of uv sync; does nothing when the lock and the arguments are those of the last time
    stamp="$here/.venv/.synced"
    want="$* $(cksum "$here/uv.lock" "$here/pyproject.toml" | cut -d' ' -f1,2 | tr '\n' ' ')"
    if [ -x "$here/.venv/bin/understudy" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then return 0; fi
    uv=$(find_uv) || return 1
    say "setting up .venv (once; a minute or so) ..."
    # A lean llama.cpp: no vision, no tools, and code that runs on any x86-64 or arm64 machine.
    CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc 2>/dev/null || echo 2)} \
        CMAKE_ARGS="${CMAKE_ARGS:--DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE=$here/scripts/llama/nocommon.cmake}" \
        UV_PYTHON_DOWNLOADS=never \
        "$uv" sync --project "$here" --python "$(find_python)" --locked --quiet "$@" || return 1
    printf '%s' "$want" >"$stamp"
}
