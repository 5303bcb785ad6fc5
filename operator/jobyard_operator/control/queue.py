"""One JobQueue: a step looks at everything about it and does what has to be done. Steps may come as often as they like."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pydantic

from jobyard.broker.errors import BrokerError
from jobyard.broker.policy import QueuePolicy
from jobyard_operator.control import looking
from jobyard_operator.control.children import Children
from jobyard_operator.control.commands import Commands
from jobyard_operator.control.connections import Connection, NeedsChange
from jobyard_operator.control.context import Context
from jobyard_operator.control.deadjobs import DeadJobs
from jobyard_operator.control.deletion import Deletion
from jobyard_operator.control.memory import Remembered
from jobyard_operator.control.scaling import Scaled, Scaler
from jobyard_operator.control.schedule import sweep
from jobyard_operator.control.status import StatusWriter
from jobyard_operator.control.telemetry import Telemetry
from jobyard_operator.core import crash_loops, rendering
from jobyard_operator.core.conditions import Facts
from jobyard_operator.core.decision_log import line
from jobyard_operator.core.drain import Pod
from jobyard_operator.core.observation import Decision, Memory, Observation, Rules
from jobyard_operator.core.pods import PodFacts, facts
from jobyard_operator.core.policies import queue_policy
from jobyard_operator.core.scaling import decide
from jobyard_operator.kubernetes.api import Object
from jobyard_operator.kubernetes.cache import PODS_REFUSED, Key, version
from jobyard_operator.kubernetes.kinds import DEPLOYMENTS, JOB_QUEUES, PODS
from jobyard_operator.redis.look import Look, look
from jobyard_operator.redis.memory import remember
from jobyard_operator.redis.policy import configure, digest, hold
from jobyard_operator.redis.wakeup import sleep
from jobyard_operator.resources.jobqueue import JobQueue

#: Seconds until the next step: where nothing is there and no pod runs, and the first job wakes us; …
ASLEEP: Final = 30.0
#: … where pods are needed or may be soon; …
AWAKE: Final = 2.0
#: … while jobs wait and no pod serves yet; …
EAGER: Final = 1.0
#: … and where somebody has to change what the JobQueue names: nothing tells us when they have.
HELPLESS: Final = 3.0

_logger: Final = logging.getLogger(__name__)
_decisions: Final = logging.getLogger("jobyard.decisions")


class QueueController:
    """The controller of one JobQueue.

    Args:
        telemetry: finds that of a Redis.
    """

    def __init__(self, context: Context, key: Key, telemetry: Callable[[Connection], Telemetry]) -> None:
        self.key = key
        self.connection: Connection | None = None
        self.queue_name = ""
        self._context = context
        self._telemetry = telemetry
        self._children = Children(context, key)
        self._scaler = Scaler(context, key)
        self._status = StatusWriter(context, key)
        self._commands = Commands(context, key)
        self._dead_jobs = DeadJobs(context, key)
        self._deletion = Deletion(context, key)
        self._known: tuple[str, JobQueue] | None = None
        self._epoch = 0
        self._uid = ""
        self._kept = Remembered()
        self._recalled: tuple[int, Connection] | None = None  # as which leader and where from
        self._remembered = False  # whether it lies in Redis
        self._configured: tuple[int, Connection] | None = None  # as which leader and where
        self._policy: tuple[JobQueue, QueuePolicy, str] | None = None
        self._cold_start = looking.ColdStart()
        self._completed: int | None = None
        self._held: str | None = None
        self._scaled: Scaled | None = None  # what we wrote last, until the watch tells it
        self._look: Look | None = None
        self._problem: str | None = None
        self._swept = False  # of what schedules have left that were deleted meanwhile

    def children_touched(self) -> None:
        """Somebody changed or removed the Deployment or the budget."""
        self._children.touched()

    def dead_jobs_touched(self) -> None:
        """A DeadJob of this JobQueue is gone: it may have to come back."""
        self._dead_jobs.touched()

    async def dead_job_removed(self, last: Object) -> None:
        """A DeadJob of this JobQueue is gone."""
        told = self._context.cache.get(JOB_QUEUES, self.key)
        await self._dead_jobs.removed(self._parsed(told) if told is not None else None, self.connection, last)

    async def step(self) -> float | None:
        """Look, decide, act, and say. Returns the seconds until the next step; None: the JobQueue is gone.

        Raises:
            NotLeading, Superseded: this process acts no more.
            ApiError: the API server can't be reached, or refuses; nothing is half done that the next step doesn't finish.
        """
        told = self._context.cache.get(JOB_QUEUES, self.key)
        if told is None:
            self._commands.stop()
            return None
        epoch = self._context.must_lead()
        if epoch != self._epoch:
            # Somebody else may have led in between: what is there holds, not what we remember.
            self._epoch, self._kept, self._swept, self._scaled = epoch, Remembered(), False, None
            self._children.touched()
            self._commands.forget()
            self._status.forget()
        try:
            queue = self._parsed(told)
        except pydantic.ValidationError as error:
            _logger.error("JobQueue %s is not as its schema says; is an older CRD installed? %s", self.key, error)
            return ASLEEP
        if queue.metadata.uid != self._uid:
            # Perhaps one that was deleted and made anew.
            self._uid = queue.metadata.uid
            self._commands.forget()
        if await self._deletion.step(queue):
            self._commands.stop()
            return EAGER
        pods = [facts(pod) for pod in self._context.cache.of(PODS, self.key)]
        problem: str | None = None
        try:
            connection, secret_version = await self._context.connections.of(queue)
        except NeedsChange as change:
            return await self._helpless(queue, told, str(change))
        if connection is not self.connection:
            # Another Redis remembers other things.
            self._kept, self._recalled, self._look, self._completed = Remembered(), None, None, None
            self._swept = False
        self.connection, self.queue_name = connection, queue.spec.queue
        try:
            await self._children.apply(queue, secret_version)
        except NeedsChange as change:
            # What runs goes on, and so does everything that is done for it.
            problem = str(change)
        self._say_problem(told, problem)
        pause = await self._with_redis(queue, secret_version, problem, self._deployed(queue), pods, connection)
        # A little later, so that the Secret is really old then.
        pause = min(pause, self._context.connections.fresh_for(queue) + 0.1)
        return pause if problem is None else min(pause, HELPLESS)

    async def _helpless(self, queue: JobQueue, told: Object, problem: str) -> float:
        """Nothing can be done but to say what somebody has to change."""
        self._say_problem(told, problem)
        said = Facts(generation=queue.metadata.generation, problem=problem, paused=queue.spec.paused)
        await self._write(queue, said, self._deployed(queue), None)
        return HELPLESS

    async def _with_redis(
        self,
        queue: JobQueue,
        secret_version: str | None,
        problem: str | None,
        deployed: looking.Deployed,
        pods: list[PodFacts],
        connection: Connection,
    ) -> float:
        rules = Rules.of(queue.spec)
        name = queue.spec.queue
        error: BrokerError | None = None
        seen: Look | None = None
        telemetry = self._telemetry(connection)
        try:
            seen = await self._seen(queue, connection)
            await telemetry.refresh()
            if not self._swept:
                await sweep(self._context, connection, name, self._epoch)
                self._swept = True
        except BrokerError as failure:
            error = failure
            self._context.connections.doubt(queue)
        if seen is not None:
            self._recall(seen, connection)
        kept = self._kept
        self._cold_start.learn(pods)
        busy = looking.workloads(pods, seen, telemetry.pods) if seen is not None else []
        if seen is None:
            assert error is not None
            observation = looking.blind(deployed, error)
        else:
            if seen.paused:
                # Also if somebody paused the queue from the command line.
                rules = replace(rules, paused=True)
            observation = looking.observation(
                seen,
                deployed,
                pods,
                busy,
                service=telemetry.service(name),
                cold_start=self._cold_start.seconds,
            )
        memory = kept.memory
        decision = decide(rules, observation, memory)
        self._log(rules, observation, memory, decision, deployed.replicas)
        hold_now = kept.hold
        failing, refused = crash_loops.failure(pods), deployed.refused
        if seen is not None:
            completed = seen.counts.get("completed", 0)
            moved = self._completed is not None and completed > self._completed
            self._completed = completed
            revision = f"{queue.metadata.generation} {secret_version or ''}"
            hold_now, held = crash_loops.judged(kept.hold, pods, revision, moved, observation.now)
            await self._hold(queue, connection, hold_now.reason if held else None, seen)
        after = Remembered(memory=decision.memory, starts=tuple(self._cold_start.starts), hold=hold_now)
        if seen is None:
            self._kept = after  # For how long we are blind is not to be read anywhere.
        quiet = seen is not None and await self._keep(connection, name, kept, after, decision, seen, deployed)
        replicas = deployed.replicas
        if decision.desired is not None and decision.desired != deployed.replicas:
            replicas = await self._scale(queue, connection, busy, telemetry, deployed, decision)
        self._look = seen if seen is not None else self._look
        if seen is not None:
            await self._dead_jobs.step(queue, connection, seen)
            await self._commands.step(queue, connection, self._status.last(queue).commands)
        self._context.metrics.decided(self.key, rules.target_wait, observation, decision, self._held is not None)
        status = Facts(
            generation=queue.metadata.generation,
            problem=problem,
            failing=self._held or failing or (f"No pod can be made: {refused}" if refused else None),
            foreign=self._children.foreign,
            wanted=replicas,
            replicas=deployed.existing,
            updated=deployed.updated,
            ready=deployed.ready,
            paused=queue.spec.paused,
            paused_by_hand=rules.paused,
            error=None if error is None else str(error),
            dead=seen.dead if seen is not None else 0,
            decision=decision,
        )
        pause = await self._write(queue, status, deployed, seen)
        if self._commands.busy:
            pause = min(pause or EAGER, EAGER)
        if quiet and replicas == 0:
            return min(pause or ASLEEP, ASLEEP)
        eager = seen is not None and not seen.empty and not deployed.ready
        return min(pause or AWAKE, EAGER if eager else AWAKE)

    def _parsed(self, told: Object) -> JobQueue:
        version = told["metadata"]["resourceVersion"]
        if self._known is None or self._known[0] != version:
            self._known = version, JobQueue.parse(told)
        return self._known[1]

    def _deployed(self, queue: JobQueue) -> looking.Deployed:
        found = self._context.cache.get(DEPLOYMENTS, Key(self.key.namespace, rendering.child_name(queue)))
        if found is None:
            return looking.Deployed(0, 0, 0, 0)
        status = found.get("status") or {}
        replicas = int(found["spec"].get("replicas", 0))
        if self._scaled is not None:
            if version(found) < self._scaled.version:
                replicas = self._scaled.replicas  # The watch is behind what we wrote ourselves.
            else:
                self._scaled = None
        updated = int(status.get("updatedReplicas") or 0)
        return looking.Deployed(
            replicas,
            int(status.get("replicas") or 0),
            updated,
            int(status.get("readyReplicas") or 0),
            # Those of a former template are of no interest.
            status.get(PODS_REFUSED) if updated < replicas else None,
        )

    async def _seen(self, queue: JobQueue, connection: Connection) -> Look:
        """A look at the queue, in which the JobQueue's policy holds: also in another Redis, or in an emptied one."""
        if self._policy is None or self._policy[0] is not queue:
            policy = queue_policy(queue.spec)
            self._policy = queue, policy, digest(policy)
        _, policy, wanted = self._policy
        horizon = looking.soon(self._cold_start.seconds)
        place = (self._epoch, connection)
        if self._configured == place:
            seen = await connection.call(look, queue.spec.queue, horizon)
            if seen.policy_digest == wanted:
                return seen
        # A new leader does it in any case: the one before may have died before all of it was done.
        self._context.must_lead()
        await connection.call(configure, queue.spec.queue, self._epoch, policy)
        self._configured = place
        return await connection.call(look, queue.spec.queue, horizon)

    def _recall(self, seen: Look, connection: Connection) -> None:
        """Read what is kept beside the queue, if we have just begun, or it is another Redis, or an emptied one."""
        place = (self._epoch, connection)
        if self._recalled != place:
            self._kept, self._recalled = Remembered.decode(seen.memory), place
            self._cold_start = looking.ColdStart(self._kept.starts)
        elif self._remembered and seen.memory is None:
            # What it was about is gone; the pods are not.
            self._kept = replace(self._kept, memory=Memory())
        self._remembered = seen.memory is not None

    async def _hold(self, queue: JobQueue, connection: Connection, reason: str | None, seen: Look) -> None:
        before, self._held = self._held, reason
        if (seen.held is None) == (reason is None) and (reason is None or reason == before):
            return
        self._context.must_lead()
        changed = await connection.call(hold, queue.spec.queue, self._epoch, reason)
        told = self._context.cache.get(JOB_QUEUES, self.key)
        if told is None or not changed:
            return
        if reason is not None:
            self._context.events.say(told, "QueueHeld", f"No job is started: {reason}", kind="Warning")
        else:
            self._context.events.say(told, "QueueResumed", "Jobs are started again.")

    async def _keep(
        self,
        connection: Connection,
        name: str,
        before: Remembered,
        after: Remembered,
        decision: Decision,
        seen: Look,
        deployed: looking.Deployed,
    ) -> bool:
        """Remember, and go to sleep where nothing is to be done. Returns whether the first job will wake us."""
        self._kept = after
        wanted = decision.desired if decision.desired is not None else decision.inputs.get("needed")
        still = wanted == 0 and deployed.replicas == 0 and seen.empty and not seen.due_soon
        at_rest = still and seen.memory is not None and _sleeps(before.memory) and _sleeps(after.memory)
        self._context.must_lead()
        if after != before and not at_rest:
            await connection.call(remember, name, self._epoch, after.encode())
        if not still:
            return False
        # Delayed jobs that are due later are seen in time by the steps of a sleeping queue.
        ahead = ASLEEP + looking.soon(self._cold_start.seconds)
        return await connection.call(sleep, name, self._epoch, ahead=ahead)

    async def _scale(
        self,
        queue: JobQueue,
        connection: Connection,
        busy: list[Pod],
        telemetry: Telemetry,
        deployed: looking.Deployed,
        decision: Decision,
    ) -> int:
        assert decision.desired is not None
        found = self._context.cache.get(DEPLOYMENTS, Key(self.key.namespace, rendering.child_name(queue)))
        if found is None:
            return deployed.replicas  # It was applied a moment ago; the watch will tell.
        reachable = connection if self._look is not None else None
        scaled = await self._scaler.carry_out(
            found["metadata"]["name"],
            reachable,
            queue.spec.queue,
            busy,
            telemetry.pods,
            deployed.replicas,
            decision.desired,
        )
        if scaled is None:
            return deployed.replicas
        self._scaled, replicas = scaled, scaled.replicas
        up = replicas > deployed.replicas
        self._context.metrics.scalings.labels(self.key.namespace, self.key.name, "up" if up else "down").inc()
        told = self._context.cache.get(JOB_QUEUES, self.key)
        if told is not None:
            note = f"{deployed.replicas} → {replicas} replicas ({decision.reason}): {decision.sentence}"
            self._context.events.say(told, "ScaledUp" if up else "ScaledDown", note, action="Scale")
        return replicas

    async def _write(self, queue: JobQueue, said: Facts, deployed: looking.Deployed, seen: Look | None) -> float | None:
        commands = self._commands.statuses(self._status.last(queue).commands)
        return await self._status.write(queue, said, deployed, seen, commands)

    def _say_problem(self, told: Object, problem: str | None) -> None:
        before, self._problem = self._problem, problem
        if problem is not None and problem != before:
            self._context.events.say(told, "NeedsChange", problem, kind="Warning")

    def _log(self, rules: Rules, observation: Observation, memory: Memory, decision: Decision, replicas: int) -> None:
        # Those that change something, and all of them at debug level: enough to make them again.
        level = logging.INFO if decision.desired not in (None, replicas) else logging.DEBUG
        if _decisions.isEnabledFor(level):
            _decisions.log(level, "%s %s", self.key, line(rules, observation, memory, decision))


def _sleeps(memory: Memory) -> bool:
    return memory.idle_since is not None and not memory.needed[1:] and memory.fast < 1e-3
