"""Landlock: from here on this process opens only what is listed. Needs Linux 5.13 or newer with Landlock on."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every machine
_EXECUTE, _WRITE, _READ, _READ_DIR = 1, 2, 4, 8
_TRUNCATE = 1 << 14
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE  # rights that mean something on a file; others are refused there
# Highest bit of the file-system rights each version of the interface knows (linux/landlock.h).
_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}


def version() -> int:
    """The kernel's Landlock version; 0: there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(_CREATE, None, ctypes.c_size_t(0), 1)))


def restrict(*, readable: Iterable[str], devices: Iterable[str], writable: Iterable[str]) -> None:
    """Deny every file but these, all TCP (version 4), and signals out of here (version 6). Raises OSError."""
    abi = version()
    if not abi:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock")
    libc = ctypes.CDLL(None, use_errno=True)
    everything = (1 << _BITS.get(abi, 16)) - 1
    wanted = [everything, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0][: 1 if abi < 4 else 2 if abi < 6 else 3]
    attributes = struct.pack(f"={len(wanted)}Q", *wanted)
    ruleset = _checked(libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0))
    rules = [
        *((path, _EXECUTE | _READ | _READ_DIR) for path in readable),
        *((path, _READ | _WRITE) for path in devices),
        *((path, everything) for path in writable),
    ]
    for path, rights in rules:
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError):
            continue
        allowed = rights & everything
        if not os.path.isdir(path):
            allowed &= _OF_FILES
        rule = struct.pack("=Qi", allowed, handle)
        _checked(libc.syscall(_ADD, ruleset, 1, rule, 0))
        os.close(handle)
    _checked(libc.syscall(_RESTRICT, ruleset, 0))
    os.close(ruleset)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "Landlock")
    return result
