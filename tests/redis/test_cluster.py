"""A real Redis Cluster: queues on different nodes, slots that move, a node that dies."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import dramatiq
import pytest
from tests.unit.operator.schedules.calendars import UID, job_schedule

from jobyard.batch import Batch
from jobyard.broker import JobyardBroker
from jobyard.broker.dead_letters import DeadFilter
from jobyard.broker.delivery import FollowUp
from jobyard.broker.envelope import seal
from jobyard.broker.errors import BrokerUnavailableError
from jobyard.broker.filters import JobFilter
from jobyard.broker.keys import registry
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.retiring import release, retire
from jobyard.worker.worker import JobyardWorker
from jobyard_operator.core.schedules import Enqueue, Tick
from jobyard_operator.core.schedules.ticks import at
from jobyard_operator.redis.look import look
from jobyard_operator.redis.memory import remember
from jobyard_operator.redis.schedules import apply, forget, observe
from jobyard_operator.redis.wakeup import Listener, sleep
from support.acl import cluster_rules, user_rules
from support.cluster import Cluster
from support.hand import Hand, Idler, look_up, message
from support.ledger import audit
from support.waiting import eventually
from support.walk import Walk, roam

StartWorker = Callable[..., JobyardWorker]
MakeBroker = Callable[..., JobyardBroker]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three masters. Slots may have moved, but all are well."""
    made = Cluster("valkey", tmp_path_factory.mktemp("cluster")).start()
    yield made
    made.stop()


@pytest.fixture
def broker(cluster: Cluster, make_broker: MakeBroker) -> Iterator[JobyardBroker]:
    made = make_broker(cluster.url)
    yield made
    audit(made)


def test_jobs_on_all_nodes_run_in_one_worker(
    cluster: Cluster, broker: JobyardBroker, start_worker: StartWorker
) -> None:
    queues = cluster.queues(2)
    assert len({cluster.master_of(queue).port for queue in queues}) == 3
    runs: Counter[tuple[str, int]] = Counter()
    mutex = threading.Lock()

    def declare(queue: str) -> dramatiq.Actor[[int], int]:
        @dramatiq.actor(queue_name=queue, actor_name=f"work-{queue}", broker=broker)
        def work(number: int) -> int:
            with mutex:
                runs[queue, number] += 1
            return number

        return work

    actors = [declare(queue) for queue in queues]
    broker.enqueue_many([actor.message(number) for number in range(40) for actor in actors])
    start_worker(broker=broker, threads=3)
    for queue in queues:
        eventually(lambda queue=queue: broker.inspector.stats(queue).completed == 40)
    assert set(runs.values()) == {1}
    assert broker.inspector.queues() == sorted(queues)


def test_searching_bulk_actions_explanations_and_failure_groups_go_over_all_nodes(
    cluster: Cluster, broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    queues = cluster.queues(1)
    worker = hand(*queues, broker=broker)
    sent = [message(queue, number, tags=["all"]) for queue in queues for number in range(3)]
    broker.enqueue_many(sent)
    for delivery in worker.fetch(len(queues)):
        worker.bury(delivery, OSError("disk 1 full"))
    groups = broker.failures.groups()
    assert {group.fingerprint for group in groups} == {groups[0].fingerprint}
    assert sum(group.dead for group in groups) == len(queues)
    for which in (JobFilter(), JobFilter(tag="all")):
        first = broker.inspector.search(which, limit=4)
        rest = broker.inspector.search(which, first.cursor, limit=100)
        assert len({job.id for job in (*first.jobs, *rest.jobs)}) == len(sent)
    assert broker.inspector.explain(sent[-1].message_id).reason == "NoWorker"
    assert broker.bulk.retry(JobFilter(error="full")).changed == len(queues)
    assert broker.bulk.cancel(JobFilter()).changed == len(sent)


def test_the_operator_looks_at_queues_of_all_nodes_and_hears_of_them(cluster: Cluster, broker: JobyardBroker) -> None:
    queues = cluster.queues(1)
    heard: list[str] = []
    listener = Listener(broker, heard.append)
    listener.start()
    eventually(lambda: heard == [""])
    for number, queue in enumerate(queues):
        remember(broker, queue, 1, queue.encode())
        assert sleep(broker, queue, 1)
        broker.enqueue(message(queue))
        eventually(lambda number=number: heard[1:] == queues[: number + 1])
        seen = look(broker, queue, 15)
        assert (seen.waiting, seen.memory) == (1, queue.encode())
    listener.stop()


def test_schedules_of_queues_on_all_nodes(cluster: Cluster, broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    names = cluster.queues(2)
    for name in names:
        now = at(broker.inspector.stats(name).now)
        ticks = [Tick(now + timedelta(seconds=second), now + timedelta(seconds=second)) for second in (-1, 60)]
        assert apply(broker, name, 1, job_schedule(overlapPolicy="Skip"), [Enqueue(tick) for tick in ticks]) == (2, 0)
    worker = hand(*names)
    eventually(lambda: worker.fetch(len(names)) or len(worker.dispatcher.held) == len(names))
    for name in names:
        assert [run.state for run in observe(broker, name, UID).runs] == ["Running", "Planned"]
        assert forget(broker, name, 1, UID) == 1


def test_an_idle_worker_starts_a_job_of_any_node_within_milliseconds(
    cluster: Cluster, broker: JobyardBroker, start_worker: StartWorker
) -> None:
    started: list[float] = []

    def declare(queue: str) -> dramatiq.Actor[[], None]:
        @dramatiq.actor(queue_name=queue, actor_name=f"work-{queue}", broker=broker)
        def work() -> None:
            started.append(time.monotonic())

        return work

    actors = [declare(queue) for queue in cluster.queues()]
    start_worker(broker=broker)
    time.sleep(0.3)
    for actor in actors:
        sent = time.monotonic()
        actor.send()
        eventually(lambda: started, 3)
        assert started.pop() - sent < 0.5
        time.sleep(0.05)
    for actor in actors:
        sent = time.monotonic()
        actor.send_with_options(delay=150)
        eventually(lambda: started, 3)
        assert 0.14 < started.pop() - sent < 0.65


def test_a_worker_stops_at_once(cluster: Cluster, broker: JobyardBroker, start_worker: StartWorker) -> None:
    worker = start_worker(broker=broker, queues=cluster.queues())
    time.sleep(0.3)
    begun = time.monotonic()
    worker.stop()
    assert time.monotonic() - begun < 2


def test_what_follows_from_a_job_reaches_another_node(
    cluster: Cluster, broker: JobyardBroker, start_worker: StartWorker
) -> None:
    first, second, third = cluster.queues()

    @dramatiq.actor(queue_name=first, broker=broker)
    def add(a: int, b: int) -> int:
        return a + b

    @dramatiq.actor(queue_name=second, broker=broker)
    def double(value: int) -> int:
        return 2 * value

    @dramatiq.actor(queue_name=third, broker=broker)
    def keep(value: int) -> int:
        return value

    before = dramatiq.broker.global_broker
    dramatiq.set_broker(broker)
    try:
        start_worker(broker=broker)
        pipeline = (add.message(1, 2) | double.message() | keep.message()).run()
        assert pipeline.get_result(block=True, timeout=5000) == 6
    finally:
        dramatiq.broker.global_broker = before


def test_what_follows_is_accepted_once_even_if_the_job_is_run_again(
    cluster: Cluster, broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    """No script can touch two nodes, so what follows comes first. A crash between the two makes the job run again."""
    first, second, _ = cluster.queues()
    broker.enqueue(message(first))
    next_one = message(second, job_id="follow-up")
    follow_up = FollowUp(second, "follow-up", seal(next_one, 5), 5, 0)
    killed = hand(first, broker=broker)
    job = killed.fetch_one()
    broker.accept_follow_ups([follow_up])
    broker.revoke(killed.token, b'{"error":"WorkerDied"}')
    other = hand(first, broker=broker)
    again = other.fetch_one()
    assert again.message_id == job.message_id
    again.follow_ups.append(follow_up)
    other.done(again)
    assert broker.inspector.stats(second).counts["accepted"] == 1


def test_what_follows_is_accepted_whatever_the_rate_of_its_queue(
    cluster: Cluster, broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    first, second, _ = cluster.queues()
    broker.configure(second, QueuePolicy(rate=0.01, rate_mode="reject"))
    broker.enqueue(message(second))
    broker.enqueue(message(first))
    worker = hand(first, broker=broker)
    job = worker.fetch_one()
    next_one = message(second)
    job.follow_ups.append(FollowUp(second, next_one.message_id, seal(next_one, 5), 5, 0))
    worker.done(job)
    assert broker.inspector.stats(second).waiting == 2


def test_what_follows_waits_while_its_node_is_away_and_no_thread_dies(
    cluster: Cluster, broker: JobyardBroker, start_worker: StartWorker
) -> None:
    # The list of queues has to be at hand.
    away = next(node for node in cluster.masters if node is not cluster.node_of(registry(broker.namespace)))
    second = next(queue for queue in cluster.queues() if cluster.master_of(queue) is away)
    first = next(queue for queue in cluster.queues() if cluster.master_of(queue) is not away)

    @dramatiq.actor(queue_name=first, broker=broker)
    def begin() -> int:
        return 1

    @dramatiq.actor(queue_name=second, broker=broker)
    def end(value: int) -> int:
        return value

    worker = start_worker(broker=broker)
    broker.enqueue(end.message(0))
    pipeline = begin.message() | end.message()
    away.freeze()
    try:
        sent = broker.enqueue(pipeline.messages[0])
        time.sleep(0.5)
    finally:
        away.thaw()
    eventually(lambda: all(cluster.is_well(one) for one in cluster.nodes))
    eventually(lambda: broker.inspector.stats(first).completed == 1)
    eventually(lambda: broker.inspector.stats(second).completed == 2)
    assert worker.complaint() is None
    assert look_up(broker, sent.message_id, queue=first).state == "completed"


def test_a_batch_has_jobs_and_callbacks_on_all_nodes(
    cluster: Cluster, broker: JobyardBroker, start_worker: StartWorker
) -> None:
    queues = cluster.queues()
    calls: Counter[str] = Counter()

    def declare(queue: str) -> dramatiq.Actor[[int], None]:
        @dramatiq.actor(queue_name=queue, actor_name=f"work-{queue}", max_retries=0, broker=broker)
        def work(number: int) -> None:
            if number == 7:
                raise ValueError("on purpose")

        return work

    def callback(queue: str) -> dramatiq.Message[None]:
        @dramatiq.actor(queue_name=queue, actor_name=f"callback-{queue}", broker=broker)
        def called() -> None:
            calls[queue] += 1

        return called.message()

    actors = [declare(queue) for queue in queues]
    success, failure, complete = (callback(queue) for queue in queues)
    start_worker(broker=broker)
    batch = Batch(
        [actor.message(number) for number in range(20) for actor in actors],
        on_success=success,
        on_failure=failure,
        on_complete=complete,
        broker=broker,
    ).enqueue()
    status = batch.wait(timeout=20_000)
    assert (status.total, status.completed, status.failed) == (60, 57, 3)
    eventually(lambda: calls == {queues[1]: 1, queues[2]: 1})
    assert batch.cancel() == {}


def test_a_batch_hears_of_its_jobs_when_its_node_is_back(
    cluster: Cluster, broker: JobyardBroker, start_worker: StartWorker
) -> None:
    away = next(node for node in cluster.masters if node is not cluster.node_of(registry(broker.namespace)))
    home = next(queue for queue in cluster.queues() if cluster.master_of(queue) is away)
    queue = next(queue for queue in cluster.queues() if cluster.master_of(queue) is not away)

    started, go_on = threading.Event(), threading.Event()

    @dramatiq.actor(queue_name=queue, broker=broker)
    def work() -> None:
        started.set()
        go_on.wait(10)

    batch = Batch([work.message() for _ in range(5)], on_success=message(home), broker=broker).enqueue()
    worker = start_worker(broker=broker, queues=[queue])
    assert started.wait(10)
    away.freeze()
    try:
        go_on.set()
        time.sleep(0.5)
    finally:
        away.thaw()
    eventually(lambda: all(cluster.is_well(one) for one in cluster.nodes))
    eventually(lambda: broker.inspector.stats(home).waiting == 1, 20)
    assert batch.status().succeeded
    assert worker.complaint() is None


def test_operators_work_over_all_nodes(cluster: Cluster, broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    queues = cluster.queues()
    worker = hand(*queues, broker=broker)
    for queue in queues:
        broker.enqueue(message(queue, 1))
        (job,) = worker.fetch(1)
        assert job.queue_name == queue
        worker.bury(job, ValueError("on purpose"))
    waiting = broker.enqueue(message(queues[2]))
    assert look_up(broker, waiting.message_id).queue == queues[2]
    assert broker.cancel(waiting.message_id) == "waiting"
    for queue in queues:
        assert broker.dead_letters.retry_all(queue, DeadFilter(error="ValueError")) == 1
        broker.configure(queue, QueuePolicy(ageing=5))
        broker.pause(queue)
    assert worker.fetch(9) == []
    for queue in queues:
        broker.resume(queue)
        broker.flush(queue)
        assert broker.inspector.stats(queue).waiting == 0


def test_a_result_is_waited_for_without_polling(
    cluster: Cluster, broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    for queue in cluster.queues():
        sent = broker.enqueue(message(queue))
        worker = hand(queue, broker=broker)
        job = worker.fetch_one()
        end = threading.Timer(0.3, worker.done, [job])
        end.start()
        begun = time.monotonic()
        assert broker.inspector.wait(sent.message_id, queue=queue, deadline=begun + 10).state == "completed"
        assert time.monotonic() - begun < 1
        end.join()


def test_the_ledger_adds_up_whatever_happens(
    cluster: Cluster, broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    queues = cluster.queues()
    walk = Walk(broker, lambda *names, lease: hand(*names, lease=lease, broker=broker), seed=3, queues=queues)
    roam(walk, broker, rounds=4)


def test_a_queue_moves_to_another_node_while_jobs_are_sent_and_run(
    cluster: Cluster, broker: JobyardBroker, make_broker: MakeBroker, start_worker: StartWorker
) -> None:
    queue = cluster.queues(5)[4]
    runs: Counter[int] = Counter()

    @dramatiq.actor(queue_name=queue, broker=broker)
    def work(number: int) -> None:
        runs[number] += 1

    worker = start_worker(broker=broker)
    total = 400
    producer = threading.Thread(target=lambda: [work.send(number) for number in range(total)])
    producer.start()
    target = next(node for node in cluster.masters if node is not cluster.master_of(queue))
    # Half-way some keys are here and some there: scripts have to wait, and single keys answer ASK.
    cluster.move(queue, target, finish=False)
    time.sleep(0.2)
    cluster.finish_move(queue, target)
    producer.join(20)
    eventually(lambda: broker.inspector.stats(queue).completed == total, 20)
    assert set(runs.values()) == {1}
    assert len(runs) == total
    assert worker.complaint() is None
    key = broker.keys(queue)["counts"]
    assert target.command("HGET", key, "completed") == str(total).encode()
    # Somebody who comes later finds it.
    assert make_broker(cluster.url).inspector.stats(queue).completed == total


def test_calls_to_a_queue_whose_slot_is_moving_wait_and_single_keys_are_found(
    cluster: Cluster, broker: JobyardBroker, make_broker: MakeBroker
) -> None:
    """Redis runs no script on a slot of which some keys are here and some there; it says so with TRYAGAIN."""
    queue = cluster.queues(7)[6]
    broker.enqueue(message(queue))
    source = cluster.master_of(queue)
    target = next(node for node in cluster.masters if node is not source)
    cluster.move(queue, target, finish=False)
    keys = broker.keys(queue)
    if keys["jobs"] in source.command("KEYS", "*:jobs"):
        source.command("MIGRATE", "127.0.0.1", target.port, keys["jobs"], 0, 5000)
    # The old node sends us on with ASK.
    assert broker.link.command(b"HLEN", keys["jobs"], key=keys["jobs"]) == 1
    with pytest.raises(BrokerUnavailableError):
        make_broker(cluster.url, patience=0.1).enqueue(message(queue))
    producer = threading.Thread(target=broker.enqueue, args=[message(queue)])
    producer.start()
    time.sleep(0.1)
    cluster.finish_move(queue, target)
    producer.join(10)
    assert broker.inspector.stats(queue).waiting == 2


def test_the_documented_user_can_do_everything(
    cluster: Cluster, make_broker: MakeBroker, start_worker: StartWorker, namespace: str
) -> None:
    for node in cluster.nodes:
        node.command("ACL", "SETUSER", "jobyard", *user_rules("valkey", namespace), *cluster_rules())
    broker = make_broker(cluster.url.replace("//", "//jobyard:secret@"))
    first, second, _ = cluster.queues()

    @dramatiq.actor(queue_name=first, broker=broker)
    def begin() -> int:
        return 1

    @dramatiq.actor(queue_name=second, broker=broker)
    def end(value: int) -> int:
        return value

    start_worker(broker=broker)
    pipeline = begin.message() | end.message()
    broker.enqueue(pipeline.messages[0])
    eventually(lambda: broker.inspector.stats(second).completed == 1)
    sent = broker.enqueue(begin.message(), delay=60_000)
    assert broker.cancel(sent.message_id) == "delayed"
    assert [node.command("ACL", "LOG") for node in cluster.nodes] == [[], [], []]


@pytest.mark.slow
def test_a_node_dies_and_its_replica_takes_over(
    tmp_path_factory: pytest.TempPathFactory, make_broker: MakeBroker, start_worker: StartWorker
) -> None:
    own = Cluster("valkey", tmp_path_factory.mktemp("failover"), replicas=1).start()
    try:
        confirmed = make_broker(own.url, patience=2, durability="quorum", replicas=1)
        broker = make_broker(own.url, patience=30)
        queue, other, _ = own.queues()
        runs: Counter[int] = Counter()

        @dramatiq.actor(queue_name=queue, broker=broker)
        def work(number: int) -> None:
            runs[number] += 1

        broker.declare_queue(other)
        worker = start_worker(broker=broker)
        total = 60

        def produce() -> None:
            for number in range(total):
                sent = work.message(number)
                try:
                    confirmed.enqueue(sent)
                except BrokerUnavailableError:
                    # The same message, so that it counts once. After the failover there is no replica that could confirm.
                    broker.enqueue(sent)
                time.sleep(0.01)

        producer = threading.Thread(target=produce)
        producer.start()
        time.sleep(0.3)
        own.nodes[0].kill()
        eventually(lambda: own.nodes[3].command("INFO", "replication")["role"] == "master", 20, what="it took over")
        spare = own.nodes[0]
        spare.start()  # It comes back as a replica, so that there is a quorum again.
        producer.join(60)
        assert not producer.is_alive()
        eventually(lambda: broker.inspector.stats(queue).completed == total, 30)
        # None is lost. One may have run twice: its end was not at the replica yet.
        assert len(runs) == total
        assert broker.inspector.stats(queue).lost == 0
        assert worker.complaint() is None
        sent = broker.enqueue(message(other))
        assert look_up(broker, sent.message_id).queue == other
        worker.stop()
    finally:
        own.stop()


def test_a_retired_worker_gets_no_job_of_that_queue_and_does_not_spin(
    broker: JobyardBroker, hand: Callable[..., Hand], longest: float
) -> None:
    worker = hand("mails", "images", broker=broker)
    idler = Idler(worker)
    try:
        eventually(lambda: idler.looks >= 1)
        assert retire(broker, "mails", [worker.token]) == {worker.token}
        broker.enqueue(message("mails"))
        job = broker.enqueue(message("images")).message_id
        eventually(lambda: idler.took == [job])
        begin, before = time.monotonic(), idler.looks
        eventually(lambda: idler.looks >= before + 4)
        assert idler.looks - before <= 4 + (time.monotonic() - begin) / longest
        release(broker, "mails", [worker.token])
        eventually(lambda: len(idler.took) == 2)
    finally:
        idler.stop()
