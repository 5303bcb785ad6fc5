"""Programs as people write them for Dramatiq: they import `dramatiq` and its middleware, and name our broker. Nothing else.

Each is run by every kind of worker in `conftest.py`.
"""

import ctypes
import os
import sys

if sys.platform == "linux" and "DIE_WITH_PARENT" in os.environ:
    # Dramatiq's worker processes outlive their master when that is killed; these must not outlive the tests.
    ctypes.CDLL(None).prctl(1, 9)
