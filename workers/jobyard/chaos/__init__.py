"""`jobyard chaos`: does this Redis, with this network and these settings, lose jobs when workers are killed?

It brings its own jobs, which do nothing but sleep, its own queue and its own worker processes; nothing else is touched. `run` is
the whole of it; `fleet` starts and kills workers; `actors` is what these run; `record` is what they write down, and what follows
from it; `report` is the verdict.
"""

from __future__ import annotations

from typing import Final

#: The only queue that is touched.
QUEUE: Final = "jobyard-chaos"
#: The actor's name.
ACTOR: Final = "chaos_nap"
#: Environment of the workers: the file that jobs write into, and the process without which they end.
RECORD: Final = "JOBYARD_CHAOS_RECORD"
RUNNER: Final = "JOBYARD_CHAOS_RUNNER"
