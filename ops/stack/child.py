"""Become the program given: tie it to its parent's life, step down from root, then exec.

Run as a script by `ops.stack.process` (`python -I -S child.py PARENT SIGNAL UID GID -- ARGV…`), so
it must stay with the standard library. It is a program of its own because the same steps in a
`preexec_fn` run Python between fork and exec, which can deadlock in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def step_down(libc: ctypes.CDLL, uid: int, gid: int) -> None:
    """Give up root for uid and gid, keeping only the right to walk through root's directories.

    Without it a project below /root (mode 0700) could not be read by the other user, and the way
    out would be to open root's home to everybody. A container without that capability still gets
    the change of user; it then needs paths that anybody may traverse.
    """
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    bit = 1 << _CAP_DAC_OVERRIDE
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)(_CapData(bit, bit, bit), _CapData(0, 0, 0))
    if libc.capset(ctypes.byref(header), data) == 0:
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def main(argv: list[str]) -> None:
    """Never returns: execs the program, or exits when the parent is already gone."""
    parent, death_signal, uid, gid = (int(value) for value in argv[:4])
    program = argv[5:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if uid >= 0:
            step_down(libc, uid, gid)
        # After the change of user, which clears it.
        libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(f"parent process {parent} ended before {program[0]} started")
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
