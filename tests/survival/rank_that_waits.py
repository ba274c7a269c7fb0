"""A process that ends with its launcher, says its id, and otherwise sleeps."""

import os
import sys
import time
from pathlib import Path

from gtn_hpc.cluster.launcher import end_with_launcher

end_with_launcher()
(Path(sys.argv[1]) / str(os.getpid())).touch()
time.sleep(600)
