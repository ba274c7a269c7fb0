"""Processes that do not outlive their parent."""

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1

LOOK = 0.5
"""Seconds between two looks at whether the launcher is there."""


def die_with(parent: int) -> None:
    """Has the kernel kill this process when `parent` (its process id) ends, however busy this process is.

    The kernel watches the *thread* that made this process: it has to live as long as its process.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def end_with_launcher() -> None:
    """Ends this rank within a second when the process that launched it is gone.

    A launcher that is killed leaves its ranks behind, and they would go on writing.
    """
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(LOOK)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="launcher-watch", daemon=True).start()
