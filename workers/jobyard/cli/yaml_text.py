"""YAML of plain values (dicts with text keys, lists, texts, numbers, booleans, None), for `-o yaml`.

A writer for so little is a page; every text is in double quotes, so that none can be taken for a number, a date or a `no`.
The escapes of JSON are among those of YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from jobyard.cli.harmless import json_text

#: Keys that need no quotes. Anything that YAML 1.1 may read as a truth value or null is excluded.
_plain_key: Final = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z_][a-z0-9_]*")

#: A longer key must be marked as one; YAML's own limit is 1024 characters.
_LONGEST_KEY: Final = 100


def yaml_text(value: Any) -> str:
    """One YAML document, without an end of line after it."""
    return "\n".join(_lines(value))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            name = key if _plain_key.fullmatch(key) else json_text(key)
            if len(name) > _LONGEST_KEY:
                yield f"? {name}"
                name = ""
            if _nested(item):
                yield f"{name}:"
                for line in _lines(item):
                    yield f"  {line}"
            else:
                yield f"{name}: {_scalar(item)}"
    elif isinstance(value, list) and value:
        for item in value:
            mark = "- "
            for line in _lines(item):
                yield mark + line
                mark = "  "
    else:
        yield _scalar(value)


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _scalar(value: Any) -> str:
    text = json_text(value)
    # YAML 1.1 takes a number with an exponent for one only if it has a point as well.
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text
