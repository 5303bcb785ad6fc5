"""Words that status, events and metrics use, each with the sentence that the documentation has for it."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Explained(StrEnum):
    """Members are written `NAME = "Word", "Its explanation."`."""

    explanation: str

    def __new__(cls, value: str, explanation: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member
