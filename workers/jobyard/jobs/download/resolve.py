"""Name resolution with a time limit. `getaddrinfo` itself has none."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from dataclasses import dataclass

from jobyard.jobs.download.addresses import Address
from jobyard.jobs.download.deadline import Deadline

SocketTarget = tuple[str, int] | tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Resolved:
    """One answer: an address, and what `socket.connect` needs to reach it."""

    address: Address
    family: int
    target: SocketTarget


def resolve(host: str, port: int, deadline: Deadline) -> list[Resolved]:
    """Every address of `host`, best first, as the system's resolver gives them.

    Numbers in any notation that the system takes (`127.1`, `0x7f000001`, `2130706433`) come out as ordinary addresses.

    Raises:
        OSError: the name doesn't resolve (`socket.gaierror`).
        TimeoutError: not within the deadline.
    """
    answer: queue.SimpleQueue[list[Resolved] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(_resolve_now(host, port))
        except OSError as error:
            answer.put(error)
        except UnicodeError:
            answer.put(socket.gaierror(socket.EAI_NONAME, "a part of the name is empty or too long"))

    # A daemon: one that hangs in the resolver past the deadline must not keep the process from ending.
    threading.Thread(target=ask, name=f"resolve-{host[:40]}", daemon=True).start()
    try:
        found = answer.get(timeout=deadline.remaining())
    except queue.Empty:
        raise TimeoutError(f"took longer than {deadline.seconds:g} s") from None
    if isinstance(found, OSError):
        raise found
    return found


def _resolve_now(host: str, port: int) -> list[Resolved]:
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found = []
    for family, _, _, _, target in answers:
        # An interpreter built without IPv6 gives (int, bytes) for IPv6 answers, and can't connect there.
        if isinstance(target[0], str):
            found.append(Resolved(ipaddress.ip_address(target[0]), family, target))
    return found
