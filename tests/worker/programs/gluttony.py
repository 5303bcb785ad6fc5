"""The application of `app.py`, one of whose processes the kernel kills when memory runs out, and never their supervisor.

While the memory of the one comes back, which may take a moment on a busy machine, the kernel may have to look for a second one.
"""

from __future__ import annotations

from pathlib import Path

Path("/proc/self/oom_score_adj").write_text("500")

import app as app  # noqa: E402 - what it declares is ours
