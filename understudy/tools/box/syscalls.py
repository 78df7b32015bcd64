"""A seccomp filter in classic BPF: the system calls that code under test has no business making.

Two machines are known, x86_64 and aarch64; on any other install() raises OSError and nothing is run.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_LD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, BPF_JMP|..., BPF_RET|K
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NR, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24  # offsets in struct seccomp_data; both machines are little-endian
_CLONE_THREAD = 0x00010000
_CLONE_NEW = 0x7E020000 | 0x00000080  # every CLONE_NEW* flag
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER = 1, 22, 36

# (x86_64, aarch64) numbers, from asm/unistd_64.h and asm-generic/unistd.h; None: that machine has no such call.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # the network, and the ways around socket(2)
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # memory and names that outlive the process, or that RLIMIT_AS does not count
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # the kernel's larger surfaces
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "acct": (163, 89),
    "syslog": (103, 116),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "settimeofday": (164, 170),
    "adjtimex": (159, 171),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "personality": (135, 92),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
}
# Landlock says nothing about a file's mode, owner, times and attributes: refused where nothing else protects them.
_METADATA: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def program(machine: str, *, processes: bool, metadata: bool, pid: int | None) -> bytes:
    """The filter as struct sock_filter[]. processes: fork is allowed. metadata: chmod and the like are allowed.

    pid: signals may go to this process only (None: to every process it can see).
    """
    column, arch = _MACHINES[machine]

    def nr(x86: int | None, arm: int | None) -> int | None:
        return (x86, arm)[column]

    ops: list[tuple[int, int, int, int]] = [
        (_LD, 0, 0, _ARCH),
        (_JEQ, 1, 0, arch),
        (_RET, 0, 0, _KILL),
        (_LD, 0, 0, _NR),
    ]
    if machine == "x86_64":
        ops += [(_JGE, 0, 1, 0x40000000), _no(errno.ENOSYS)]  # the x32 numbers would pass every line below
    refused = {**_NUMBERS, **({} if metadata else _METADATA)}
    if not processes:
        refused |= {"fork": (57, None), "vfork": (58, None)}
    for pair in refused.values():
        number = nr(*pair)
        if number is not None:
            ops += [(_JEQ, 0, 1, number), _no(errno.EPERM)]
    # clone3 hides its flags behind a pointer; libc falls back to clone when it is not there.
    ops += [(_JEQ, 0, 1, 435), _no(errno.ENOSYS)]
    clone = [(_JSET, 0, 1, _CLONE_NEW), _no(errno.EPERM)]
    if not processes:
        clone += [(_JSET, 1, 0, _CLONE_THREAD), _no(errno.EPERM)]
    ops += _when(nr(56, 220), _ARG0, clone)
    ops += _when(nr(157, 167), _ARG0, _refuse_values(_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER))
    ops += _when(nr(302, 261), _ARG0, _allow_values(0))  # prlimit64 of itself
    ops += _when(nr(203, 122), _ARG0, _allow_values(0))  # sched_setaffinity
    ops += _when(nr(144, 119), _ARG0, _allow_values(0))  # sched_setscheduler
    ops += _when(nr(142, 118), _ARG0, _allow_values(0))  # sched_setparam
    ops += _when(nr(314, 274), _ARG0, _allow_values(0))  # sched_setattr
    # F_SETOWN, F_SETSIG, F_SETOWN_EX; FIOSETOWN, SIOCSPGRP, TIOCSTI: signals and keystrokes by the back door
    ops += _when(nr(72, 25), _ARG1, _refuse_values(8, 10, 15))
    ops += _when(nr(16, 29), _ARG1, _refuse_values(0x8901, 0x8902, 0x5412))
    if pid is not None:
        ops += _when(nr(62, 129), _ARG0, _allow_values(0, pid))  # kill
        ops += _when(nr(234, 131), _ARG0, _allow_values(pid))  # tgkill
        ops += _when(nr(200, 130), _ARG0, _allow_values(pid))  # tkill
    ops.append((_RET, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *op) for op in ops)


def _no(number: int) -> tuple[int, int, int, int]:
    return (_RET, 0, 0, _ERRNO | number)


def _when(number: int | None, argument: int, body: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """If the call is `number`: load the low half of an argument, do `body`, else allow. A body never falls through."""
    if number is None:
        return []
    return [(_JEQ, 0, len(body) + 2, number), (_LD, 0, 0, argument), *body, (_RET, 0, 0, _ALLOW)]


def _refuse_values(*values: int) -> list[tuple[int, int, int, int]]:
    return [op for value in values for op in ((_JEQ, 0, 1, value), _no(errno.EPERM))]


def _allow_values(*values: int) -> list[tuple[int, int, int, int]]:
    return [*(op for value in values for op in ((_JEQ, 0, 1, value), (_RET, 0, 0, _ALLOW))), _no(errno.EPERM)]


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(*, processes: bool, metadata: bool, pid: int | None) -> None:
    """Put the filter on this thread and all it starts, for ever. no_new_privs must be set. Raises OSError."""
    machine = os.uname().machine
    if machine not in _MACHINES or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise OSError(errno.ENOSYS, f"there is no filter for {machine}")
    code = program(machine, processes=processes, metadata=metadata, pid=pid)
    prog = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(prog), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")
