"""The fonts of the PDF. A font has only some characters: the others are replaced, and the reader is told so."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from jobyard.errors import PermanentError


@dataclass(slots=True)
class Typeface:
    """A regular and a bold font, by the names under which ReportLab knows them.

    Attributes:
        has: the characters that both have.
        lacking: set as soon as a text had a character that had to be replaced.
    """

    regular: str
    bold: str
    has: frozenset[int]
    lacking: bool = field(default=False, compare=False)

    def printable(self, text: str) -> str:
        """`text` in characters that the font has: "ő" may become "o", and what has no near relative becomes "?"."""
        if all(ord(character) in self.has for character in text):
            return text
        return "".join(
            character if ord(character) in self.has else self._nearest(character)
            for character in unicodedata.normalize("NFC", text)
        )

    def _nearest(self, character: str) -> str:
        if character.isspace() or unicodedata.category(character) in ("Cc", "Cf"):
            return " " if character.isspace() else ""
        plain = "".join(part for part in unicodedata.normalize("NFKD", character) if ord(part) in self.has)
        self.lacking = True
        return plain or "?"


def _load(name: str, file: str) -> frozenset[int]:
    font = TTFont(name, file)
    pdfmetrics.registerFont(font)
    return frozenset(font.face.charToGlyph)


# Bitstream Vera comes with ReportLab: Latin letters with most accents of European languages, no other script.
BUILT_IN: Final = Typeface("Vera", "Vera-Bold", _load("Vera", "Vera.ttf") & _load("Vera-Bold", "VeraBd.ttf"))


def typeface(font: Path | None, bold: Path | None) -> Typeface:
    """A typeface of one's own for one report; without files the built-in one.

    Raises:
        PermanentError: a file is missing or is no TrueType font.
    """
    if font is None:
        return Typeface(BUILT_IN.regular, BUILT_IN.bold, BUILT_IN.has)
    names = []
    has = None
    for setting, file in (("JOBYARD_REPORTS_FONT", font), ("JOBYARD_REPORTS_FONT_BOLD", bold or font)):
        name = f"{setting}:{file}"
        try:
            characters = _load(name, str(file))
        except (TTFError, OSError) as error:
            raise PermanentError(f"{setting}: {file} can't be used as a TrueType font: {error}") from error
        names.append(name)
        has = characters if has is None else has & characters
    return Typeface(names[0], names[1], has or frozenset())
