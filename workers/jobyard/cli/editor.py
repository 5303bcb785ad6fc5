"""Let a person change a text in the editor of their choice."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path


class EditorError(Exception):
    """The editor can't be started, or ended with an error. The message names it."""


def edit_text(text: str, *, suffix: str) -> str:
    """The text as it is when the editor ($VISUAL, $EDITOR or vi) ends.

    The file is readable for its owner only, and removed afterwards.

    Raises:
        EditorError: see there.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="jobyard-edit-") as directory:
        path = Path(directory) / f"job{suffix}"
        path.write_text(text, encoding="utf-8")
        try:
            status = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode  # noqa: S603 - the user's own program
        except (OSError, ValueError) as error:
            raise EditorError(f"can't start the editor {editor!r}: {error}") from None
        if status != 0:
            raise EditorError(f"the editor {editor!r} ended with status {status}")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise EditorError(f"can't read what the editor {editor!r} has left: {error}") from None
