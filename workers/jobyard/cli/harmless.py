"""Text of jobs for a terminal. Whoever enqueues a job must not be able to move the cursor of whoever looks at it.

Control characters are what terminals obey (C0, DEL, C1); signs of direction and zero width make a text look like another;
half a surrogate pair can't be written at all.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

_harmful: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
    "|[\U000e0000-\U000e007f]"
)


def harmless(text: str, *, lines: bool = False) -> str:
    r"""The text with each such character written out, as `\x1b`.

    Args:
        lines: ends of lines and tabs stay, as in a traceback.
    """
    return _harmful.sub(lambda found: found[0] if lines and found[0] in "\n\t" else _written_out(found[0]), text)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON in which such characters are escapes, so that it says the same to a program and nothing to a terminal.

    Raises:
        TypeError, RecursionError: JSON can't carry the value.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _harmful.sub(lambda found: found[0] if found[0] == "\n" else _escape(found[0]), text)


def _written_out(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape(sign: str) -> str:
    return json.dumps(sign)[1:-1] if ord(sign) != 0x7F else "\\u007f"
