"""How large a message, a result and a call may be, in bytes. What is larger belongs into object storage."""

from __future__ import annotations

from typing import Final

MAX_MESSAGE: Final = 1024 * 1024
MAX_RESULT: Final = 1024 * 1024

#: One call takes no more than this (or one job, if that is larger): a server that reads hundreds of megabytes answers nobody else
#: meanwhile. `lua/include/choose.lua` has the same figure for what one call brings.
MAX_CALL: Final = 4 * 1024 * 1024
