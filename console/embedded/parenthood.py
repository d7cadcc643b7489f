"""Children that end when their parent ends, even after kill -9 of the parent."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that has the kernel send `number` to the child when its parent ends.

    Three things to know. The kernel clears the setting at a change of user, so it must come after it (Popen's
    `user=` is applied before `preexec_fn`). "Parent" means the *thread* that forked, so start such children
    from a thread that lasts, the main one. And macOS has no such call: there this returns None, and a child
    outlives a kill -9 of its parent; the next start finds and ends it.
    """
    if _libc is None:
        return None
    prctl, parent = _libc.prctl, os.getpid()

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # the parent ended between fork and prctl
            os._exit(1)

    return arm
