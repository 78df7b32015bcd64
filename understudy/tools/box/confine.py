"""The kernel's ways to take things away from a process: namespaces, identity, capabilities, resources."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
from dataclasses import dataclass
from typing import Any

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_SEPARATE = _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_RECURSIVE, _AT_FDCWD, _RDONLY = 442, 0x8000, -100, 1
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS, _PR_SET_NO_NEW_PRIVS = 1, 24, 28, 38
_CAP_VERSION_3 = 0x20080522
_FIRST_THROWAWAY_UID = 1_500_000_000  # above every range that distributions hand out


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc().prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


@dataclass(frozen=True, slots=True)
class Separation:
    """What the kernel granted. namespaces: processes, network and IPC of its own. uid: an identity nobody else has."""

    namespaces: bool
    uid: int | None  # only root can take one

    @property
    def countable(self) -> bool:
        """Processes can be counted and will all end: fork may be allowed. The kernel does not count real root's."""
        return self.namespaces and (self.uid is not None or os.getuid() != 0)


def separate(folder: str, needed: list[str], *, wanted: bool) -> Separation:
    """Give the next child namespaces of its own where the kernel lets us. Never raises."""
    root = os.geteuid() == 0
    uid, gid = os.getuid(), os.getgid()
    libc = _libc()
    namespaces = wanted and libc.unshare(_SEPARATE) == 0
    if wanted and not namespaces and libc.unshare(_NEWUSER | _SEPARATE) == 0:
        namespaces, root = True, False
        try:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/gid_map", f"{gid} {gid} 1")
            _write("/proc/self/uid_map", f"{uid} {uid} 1")
        except OSError:
            pass  # unmapped, its files belong to nobody in its eyes; everything else holds
    throwaway = None
    if root and all(open_to_all(path) for path in needed):
        throwaway = _FIRST_THROWAWAY_UID + os.getpid()
        try:
            os.chown(folder, throwaway, throwaway)
        except OSError:
            throwaway = None
    return Separation(namespaces, throwaway)


def mount_alone(folder: str, needed: list[str]) -> str:
    """For this process and its children the folder is /tmp, and every other mount is read-only. Returns its new path.

    The empty string where the kernel does not grant it. Where the interpreter is below /tmp, the
    folder stays where it is.
    """
    libc = _libc()
    if libc.unshare(_NEWNS) != 0 or libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) != 0:
        return ""
    where = folder if any(os.path.realpath(p).startswith("/tmp/") for p in needed) else "/tmp"  # noqa: S108
    target = os.fsencode(where)
    if libc.mount(os.fsencode(folder), target, None, _MS_BIND, None) != 0:
        return ""
    off, on = struct.pack("=4Q", _RDONLY, 0, 0, 0), struct.pack("=4Q", 0, _RDONLY, 0, 0)
    size = ctypes.c_size_t(32)
    if libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, off, size) != 0:
        return ""
    return where if libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, target, 0, on, size) == 0 else ""


def open_to_all(path: str, needed: int = 0) -> bool:
    """Whether somebody without any rights of his own can get at a path (needed: mode bits, else for reading)."""
    path = str(os.path.realpath(path))
    needed = needed or (0o005 if os.path.isdir(path) else 0o004)
    while True:
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return False
        if mode & needed != needed:
            return False
        if path == "/":
            return True
        path, needed = str(os.path.dirname(path)), 0o001


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def become_nobody(uid: int | None) -> None:
    """Give up identity and capabilities, and die with the parent. Raises OSError."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of identity, which clears it
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """None now, none after exec. Raises OSError if one is left."""
    libc = _libc()
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused without privilege: then there is none to drop
    libc.prctl(_PR_SET_SECUREBITS, 0x2F, 0, 0, 0)  # NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, all but the last locked
    header = struct.pack("=Ii", _CAP_VERSION_3, 0)
    if libc.capset(header, struct.pack("=6I", *([0] * 6))) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def limit(*, seconds: int, memory: int, file_bytes: int, files: int, processes: int | None) -> None:
    """Hard resource limits of this process and its children: CPU seconds, bytes, counts (None: not counted)."""
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds + 1),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, files),
        (resource.RLIMIT_MEMLOCK, 65536),
        (resource.RLIMIT_MSGQUEUE, 0),
    ]
    if processes is not None:
        limits.append((resource.RLIMIT_NPROC, processes))
    for what, most in limits:
        hard = resource.getrlimit(what)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (value, value))
    # One second between SIGXCPU, which names the reason, and SIGKILL for those who caught it.
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (min(seconds, hard), hard))
