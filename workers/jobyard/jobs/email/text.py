"""What may stand in a header: one line, without control characters. This is what makes header injection impossible."""

from __future__ import annotations

import unicodedata
from typing import Final

# Control characters (CR and LF are two of them), lone surrogates, and Unicode's separators of lines and of paragraphs.
_FORBIDDEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_one_line(text: str) -> bool:
    """Whether `text` can go into a header."""
    # Nearly all headers are ASCII, and that can be said without asking for every character.
    if text.isascii():
        return text.isprintable()
    return not any(unicodedata.category(character) in _FORBIDDEN for character in text)


def one_line(text: str, longest: int = 400) -> str:
    """`text` fit for a log: white space and control characters become single spaces, and a long end is cut off."""
    visible = "".join(character if is_one_line(character) else " " for character in text)
    line = " ".join(visible.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
