"""Threads that sleep while they wait, so that a second process on the same cores slows the first by its share only.

Knows environment variables; loads no library. The packages that load torch call it first: torch's threads read their
environment once, as torch is loaded.
"""

from __future__ import annotations

import os

_WAIT_POLICY = "OMP_WAIT_POLICY"
_SET_BY_USER = (_WAIT_POLICY, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables that say how threads wait: OpenMP's own, GNU's and LLVM's."""


def let_threads_sleep() -> None:
    """Tells the threads that torch will start to sleep while they wait, unless the user has said how they wait.

    By default they spin, and two processes on the same cores then take each other's time (`benchmarks/threads.py`).
    Child processes inherit it. Without effect where torch is loaded already.
    """
    if not any(name in os.environ for name in _SET_BY_USER):
        os.environ[_WAIT_POLICY] = "PASSIVE"
