"""What image jobs give up on."""

from __future__ import annotations

from jobyard.errors import PermanentError


class ImageRefused(PermanentError):
    """The image can't be processed, however often it is tried: unreadable, too large, or of a format not accepted."""
