"""When a job counts as accepted: in memory, on the server's disk, or on replicas as well."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerRefusedError, BrokerUnavailableError
from support.hand import message
from support.proxy import Proxy
from support.servers import Server
from support.waiting import eventually

StartServer = Callable[..., Server]
MakeBroker = Callable[..., JobyardBroker]


def calls(server: Server, command: str) -> int:
    found: int = server.command("INFO", "commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)
    return found


def test_aof_waits_until_the_job_is_on_the_disk(make_broker: MakeBroker, start_server: StartServer) -> None:
    own = start_server(options={"appendfsync": "everysec"})
    broker = make_broker(own.url, durability="aof")
    broker.enqueue(message())  # The server learns the script.
    before = calls(own, "waitaof")
    begun = time.monotonic()
    broker.enqueue(message())
    # With everysec, that is when the next second's fsync is done.
    assert time.monotonic() - begun < 3
    assert calls(own, "waitaof") == before + 1
    own.restart()
    assert broker.inspector.stats("q").waiting == 2


def test_durability_can_be_chosen_by_queue(make_broker: MakeBroker, start_server: StartServer) -> None:
    own = start_server()
    broker = make_broker(own.url, durability={"important": "aof"})
    broker.enqueue_many([message("q"), message("q")])
    assert calls(own, "waitaof") == 0
    assert broker.enqueue_many([message("important"), message("q"), message("important")]) == 3
    assert calls(own, "waitaof") == 1


def test_aof_on_a_server_that_can_not_confirm_it_is_refused_before_anything_is_accepted(
    make_broker: MakeBroker, start_server: StartServer
) -> None:
    old = start_server("redis")
    broker = make_broker(old.url, durability="aof")
    with pytest.raises(BrokerRefusedError, match=r"needs WAITAOF, which came with Redis 7.2 and Valkey.* is Redis 7.0"):
        broker.enqueue(message())
    assert broker.server.client().dbsize() == 0
    without = start_server(aof=False)
    broker = make_broker(without.url, durability={"q": "aof"})
    with pytest.raises(BrokerRefusedError, match="appendonly yes"):
        broker.enqueue(message())
    assert broker.server.client().dbsize() == 0


def test_a_server_that_stops_having_an_append_only_file_is_refused_too(
    make_broker: MakeBroker, start_server: StartServer
) -> None:
    own = start_server()
    broker = make_broker(own.url, durability="aof")
    broker.enqueue(message())
    own.command("CONFIG", "SET", "appendonly", "no")
    with pytest.raises(BrokerRefusedError, match="appendonly yes"):
        broker.enqueue(message())


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_quorum_waits_for_replicas(make_broker: MakeBroker, start_server: StartServer, kind: str) -> None:
    own = start_server(kind)
    replica = start_server(kind, options={"replicaof": ("127.0.0.1", str(own.port))})
    eventually(lambda: replica.command("INFO", "replication")["master_link_status"] == "up")
    broker = make_broker(own.url, durability="quorum", replicas=1)
    sent = broker.enqueue(message())
    assert replica.command("HEXISTS", broker.keys("q")["jobs"], sent.message_id)


def test_quorum_without_replicas_is_an_error_after_the_patience_and_sending_again_is_safe(
    make_broker: MakeBroker, start_server: StartServer
) -> None:
    own = start_server()
    broker = make_broker(own.url, durability="quorum", replicas=1, patience=0.2)
    sent = message()
    with pytest.raises(BrokerUnavailableError, match=r"accepted, but its durability 'quorum' was not confirmed"):
        broker.enqueue(sent)
    replica = start_server(options={"replicaof": ("127.0.0.1", str(own.port))})
    eventually(lambda: replica.command("INFO", "replication")["master_link_status"] == "up")
    broker.enqueue(sent)
    assert broker.inspector.stats("q").waiting == 1
    assert replica.command("HEXISTS", broker.keys("q")["jobs"], sent.message_id)


@pytest.mark.parametrize("times", [1, 3])
def test_a_lost_confirmation_is_asked_for_again(
    make_broker: MakeBroker, start_server: StartServer, start_proxy: Callable[[int], Proxy], times: int
) -> None:
    own = start_server()
    proxy = start_proxy(own.port)
    broker = make_broker(proxy.url, durability="aof")
    broker.enqueue(message())
    proxy.lose_replies(times, containing=b"WAITAOF")
    own.command("SCRIPT", "FLUSH")
    broker.enqueue(message())
    assert proxy.lost == times
    assert broker.inspector.stats("q").waiting == 2
