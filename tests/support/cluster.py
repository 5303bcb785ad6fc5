"""A real Redis Cluster of Valkey processes, put together by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from redis.cluster import RedisCluster
from redis.crc import key_slot

from support.processes import free_port
from support.servers import Kind, Server
from support.waiting import eventually

SLOTS: Final = 16384


class Cluster:
    """Three masters, each with a third of the slots, and replicas of the first.

    Args:
        directory: for the data of all of them.
        replicas: how many the first master has.
    """

    def __init__(self, kind: Kind, directory: Path, *, replicas: int = 0) -> None:
        self.nodes: list[Server] = []
        for number in range(3 + replicas):
            place = directory / f"node-{number}"
            place.mkdir()
            options = {
                "cluster-enabled": "yes",
                "cluster-port": str(free_port()),
                "cluster-node-timeout": "1000",
                "cluster-replica-validity-factor": "0",
                "appendfsync": "always",
                "repl-diskless-sync-delay": "0",
            }
            self.nodes.append(Server(kind, place, options=options))

    @property
    def masters(self) -> list[Server]:
        """The first three, as long as none has failed."""
        return self.nodes[:3]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.masters)

    def start(self) -> Self:
        """Start all, introduce them to each other, and wait until all agree."""
        for node in self.nodes:
            node.start()
        share = -(-SLOTS // 3)
        for number, node in enumerate(self.masters):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.command("CLUSTER", "ADDSLOTSRANGE", number * share, min(SLOTS, (number + 1) * share) - 1)
        first = self.nodes[0]
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", first.port, first.option("cluster-port"))
        eventually(lambda: all(self._knows_all(node) for node in self.nodes), 20, what="the nodes know each other")
        for node in self.nodes[3:]:
            node.command("CLUSTER", "REPLICATE", self.id_of(first))
        eventually(lambda: all(self.is_well(node) for node in self.nodes), 20, what="the cluster is well")
        for node in self.nodes[3:]:
            eventually(partial(_follows, node), 20, what="the replica follows")
        return self

    def stop(self) -> None:
        for node in self.nodes:
            if node.running:
                node.kill()

    def client(self) -> Any:
        """A client for all of it."""
        return RedisCluster(host="127.0.0.1", port=self.nodes[0].port)

    def master_of(self, queue: str) -> Server:
        """The node that has a queue, by the first distribution of slots."""
        return self.node_of(queue.encode())

    def node_of(self, key: bytes) -> Server:
        """The node that has a key, by the first distribution of slots."""
        return self.masters[key_slot(key) // -(-SLOTS // 3)]

    def queues(self, each: int = 1) -> list[str]:
        """Names of queues, so many on every node, in the order of the nodes."""
        found: list[list[str]] = [[], [], []]
        number = 0
        while any(len(names) < each for names in found):
            name = f"q{number}"
            names = found[self.masters.index(self.master_of(name))]
            if len(names) < each:
                names.append(name)
            number += 1
        return [name for names in found for name in names]

    def id_of(self, node: Server) -> str:
        found: bytes = node.command("CLUSTER", "MYID")
        return found.decode()

    def move(self, queue: str, target: Server, *, finish: bool = True) -> None:
        """Move the slot of a queue, with all its keys, to another node, as `valkey-cli --cluster reshard` does.

        Args:
            finish: False: stop half-way, when some keys have moved.
        """
        source, slot = self.master_of(queue), key_slot(queue.encode())
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))
        keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, 100)
        for key in keys if finish else keys[: len(keys) // 2]:
            source.command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
        if finish:
            self.finish_move(queue, target)

    def finish_move(self, queue: str, target: Server) -> None:
        """Move the keys that are left, and tell all nodes."""
        source, slot = self.master_of(queue), key_slot(queue.encode())
        while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            for key in keys:
                source.command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
        for node in (target, source, *self.masters):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))

    def is_well(self, node: Server) -> bool:
        """Whether a node says that the cluster is."""
        return bool(node.command("CLUSTER INFO").get("cluster_state") == "ok")

    def _knows_all(self, node: Server) -> bool:
        return int(node.command("CLUSTER INFO")["cluster_known_nodes"]) == len(self.nodes)


def _follows(replica: Server) -> bool:
    return bool(replica.command("INFO", "replication").get("master_link_status") == "up")
