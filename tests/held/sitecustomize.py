"""Processes stand still where a test wants them: with HOLD=NAME:FILE they rename nothing to NAME until FILE is there.

On PYTHONPATH, and so in children, ranks and jobs as well.
"""

import os
import sys
import time
from typing import Any

NAME, _, FILE = os.environ.get("HOLD", "").partition(":")


def wait(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "os.rename" and os.path.basename(os.fspath(arguments[1])) == NAME:
        while not os.path.exists(FILE):
            time.sleep(0.01)


if NAME:
    sys.addaudithook(wait)
