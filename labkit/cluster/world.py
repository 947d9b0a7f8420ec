"""The client's side of the cluster world.

    run   one pinned Dask task a peer, all started together; peers talk over their own links
    map   one Dask task an item; Dask assigns, retries and recomputes them

Dask starts the processes, places the data, introduces the peers and shows them
on its dashboard; it does not carry their messages.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections import Counter
from contextlib import ExitStack

import cloudpickle
import numpy as np
from dask.sizeof import sizeof
from distributed import Lock, wait
from distributed.client import _current_client

from labkit import sharding
from labkit.cluster import rendezvous, start
from labkit.cluster.peer import Options, Outcome, Packed, Placed, cause_of, run_peer
from labkit.cluster.tasks import Tasks
from labkit.errors import (
    ClusterError,
    ConfigurationError,
    DeadlineExceeded,
    DeadlockError,
)
from labkit.records import Events, Run, WorldInfo
from labkit.serial import task_name
from labkit.sharding import Shards
from labkit.world import World, check_shards, check_workers

LARGE = 1_000_000            # bytes from which a part goes straight to its worker
GRACE_S = 5                  # for the other peers to report, once one has failed
REPLACEMENT_S = 10           # for a worker that died to be replaced


class ClusterWorld(World):
    """Peers in Dask worker processes; made by `labkit.cluster`.

    Parameters
    ----------
    workers_or_address : int or str, optional
        How many worker processes to start here, or a running scheduler's address.
        The environment variable LABKIT_SCHEDULER gives an address to all worlds
        that are not given one.
    workers : int, optional
        How many peers. Default: every core from 2 to 4 here, every worker there.
    deadline_s : float
        A run or map that takes longer is stopped with an error.
    memory_limit : str, float or None
        Of each worker started here, as Dask takes it: "auto", "2GB", ...
    security : bool or distributed.Security, optional
        True starts a cluster whose connections all use TLS.
    transport : {"auto", "tcp"}
        How peers of one host talk: by Unix sockets and by reading large arrays from each
        other's memory, or like those of different hosts. TLS implies the latter.
    checksums : bool
        Whether what passes a socket is checked, and sent again where it is wrong: see
        `Run.resent`. Arrays that are read from their owner's memory pass none; TLS checks
        by itself, and ends the connection.

    Raises
    ------
    ConfigurationError
        For a number of workers below 1, or two of them.
    ClusterError
        If no scheduler answers, or it has fewer free workers than peers.
    """

    def __init__(self, workers_or_address=None, workers=None, *, deadline_s=120,
                 memory_limit="auto", security=None, transport="auto", checksums=False):
        workers, address = start.resolve(workers_or_address, workers)
        if workers is not None:
            check_workers(workers)
        if not deadline_s > 0:
            raise ConfigurationError("A deadline lies in the future.", got=deadline_s,
                                     expected="seconds, more than 0", where="deadline_s=")
        if transport not in ("auto", "tcp"):
            raise ConfigurationError("This transport is not known.", expected="'auto' or 'tcp'",
                                     got=repr(transport), where="transport=")
        self.deadline_s = deadline_s
        self.transport = transport
        self.checksums = checksums
        self._id = secrets.token_hex(8)
        self._busy = threading.Lock()
        self._stack = ExitStack()
        self._gone = set()
        self._workers = []               # addresses by rank
        self._listens = {}               # worker address -> its hub's Address
        try:
            if address is None:
                workers = workers or start.default_workers()
                self.client = start.start_local(workers, self._stack, memory_limit, security)
            else:
                self.client = start.connect(address, self._stack, security)
            self._shared = address is not None
            self._stack.callback(self._close_hubs)
            self.client.subscribe_topic("all", self._on_event)
            self._stack.callback(self.client.unsubscribe_topic, "all")
            survey = self._survey()
            super().__init__(workers if workers is not None else max(1, len(survey)))
            self._choose(survey)
        except BaseException:
            self._stack.close()
            raise

    @property
    def dashboard(self):
        """The address of Dask's dashboard."""
        return self.client.dashboard_link

    def close(self):
        """End what this world started; leave a cluster that was given by address running."""
        self._stack.close()

    def __exit__(self, *exc_info):
        self.close()

    def __repr__(self):
        return f"<labkit.cluster: {self.workers} workers at {self.client.scheduler.address}>"

    # ---- run

    def run(self, program, *shards, record=True, tolerate_loss=False):
        check_shards(shards, self.workers)
        code = _pickled(program)
        name = f"{task_name(program)}-{secrets.token_hex(4)}"
        with self._exclusive():
            self._choose(self._survey())
            secret = secrets.token_bytes(32)
            addresses = [self._listens[worker] for worker in self._workers]
            options = Options(self.deadline_s, record, self.transport, self.checksums)
            futures = [
                self.client.submit(
                    run_peer, self._id, rank, addresses, secret, code, options,
                    *[self._part(parts, rank) for parts in shards],
                    key=(name, rank), workers=[worker], allow_other_workers=False, pure=False,
                    retries=0)
                for rank, worker in enumerate(self._workers)]
            outcomes = self._outcomes(futures, tolerate_loss)
        return self._record(outcomes)

    def _outcomes(self, futures, tolerate_loss):
        """Wait for all peers; return their outcomes, or raise what went wrong."""
        deadline = time.monotonic() + self.deadline_s + GRACE_S
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    wait(futures, timeout=0.2)
                    outcomes = self.client.gather(futures)
                    break
                lost = [rank for rank, worker in enumerate(self._workers) if worker in self._gone]
                if lost:
                    deadline = min(deadline, time.monotonic() + GRACE_S)
                    alive = [f for r, f in enumerate(futures) if r not in lost]
                    done = all(f.done() for f in alive)
                    if done and alive and tolerate_loss:
                        outcomes = self._without(lost, futures)
                        break
                    if done or time.monotonic() > deadline:
                        raise self._lost_error(lost)
                if time.monotonic() > deadline:
                    late = [rank for rank, future in enumerate(futures) if not future.done()]
                    self._replace([self._workers[rank] for rank in late], futures)
                    raise self._overdue_error(late)
        except BaseException:
            self._stop_peers(futures)
            raise
        failed = [outcome for outcome in outcomes if outcome.error is not None]
        if failed:
            _raise_first(failed, self.deadline_s)
        return outcomes

    def _without(self, lost, futures):
        """Return the outcomes of a run that went on without some of its peers."""
        self.client.cancel([futures[rank] for rank in lost], force=True)
        alive = iter(self.client.gather([f for r, f in enumerate(futures) if r not in lost]))
        return [Outcome(rank, lost=True) if rank in lost else next(alive)
                for rank in range(len(futures))]

    def _record(self, outcomes):
        zero = min(outcome.start_s for outcome in outcomes if not outcome.lost)
        events = [(kind, rank, start_s - zero, end_s - zero, *rest)
                  for outcome in outcomes
                  for kind, rank, start_s, end_s, *rest in outcome.events]
        return Run(
            results=[outcome.result for outcome in outcomes],
            seconds=max(outcome.end_s for outcome in outcomes) - zero,
            messages=sum(outcome.messages for outcome in outcomes),
            nbytes=sum(outcome.nbytes for outcome in outcomes),
            resent=sum(outcome.resent for outcome in outcomes),
            lost=tuple(outcome.rank for outcome in outcomes if outcome.lost),
            events=Events(events),
            world=self._info(sum((outcome.links for outcome in outcomes), Counter())))

    def _info(self, links=()):
        # Each link has two ends.
        transport = ", ".join(f"{n // 2} {kind}" for kind, n in sorted(dict(links).items()))
        return WorldInfo("cluster", self.workers, detail=self.client.scheduler.address,
                         transport=transport)

    def _part(self, parts, rank):
        """Return one peer's part in the form in which it travels best."""
        if isinstance(parts, Shards):
            part = parts.parts[rank]
            return Placed(part) if not hasattr(part, "key") else part
        part = parts[rank]
        if not isinstance(part, np.ndarray):
            # Dask would look into lists, and make several objects of one that occurs twice.
            part = Packed(_pickled(part))
        if sizeof(part) < LARGE:
            return part
        return self.client.scatter([part], workers=[self._workers[rank]], hash=False)[0]

    # ---- map

    def map(self, task, items, work=None, record=True, keep=None, backup=None):
        code = _pickled(task)
        kept = isinstance(items, Shards) and items.by == "kept"
        items = items.parts if isinstance(items, Shards) else list(items)
        with self._exclusive():
            survey = self._survey()
            # Dask may be making kept parts again that a dead worker held: that is no one's run.
            self._choose(survey, idle=not kept)
            # A task that may run anywhere also runs on the replacement of a worker that died.
            where = self._workers if len(survey) > self.workers else None
            began = time.time()
            tasks = Tasks(self.client, task_name(task), code, items, where, keep)
            try:
                self._finish(tasks, backup)
            except BaseException:
                self.client.cancel(tasks.futures, force=True)
                raise
        answers = [tasks.answers[number] for number in range(len(items))]
        ranks = {worker: rank for rank, worker in enumerate(self._workers)}
        returned = answers if keep is None else []
        return Run(tasks.results(self.deadline_s), time.time() - began, len(returned),
                   sum(answer.nbytes for answer in returned),
                   Events(tasks.events(ranks, began) if record else ()), world=self._info())

    def _finish(self, tasks, backup):
        try:
            tasks.finish(self.deadline_s, backup, self._workers)
        except TimeoutError as error:
            busy = [worker for worker, n_tasks in self._survey().items() if n_tasks]
            self._replace([w for w in busy if w in self._workers], tasks.futures)
            waiting = [n for n in range(len(tasks.items)) if n not in tasks.answers]
            raise DeadlineExceeded(
                "Tasks have not ended by the deadline.", expected=f"{self.deadline_s} s",
                got=f"{len(waiting)} of {len(tasks.items)} unfinished, the first is "
                    f"{min(waiting, default='none')}",
                remedy="give the world a longer deadline_s, or fewer items") from error

    # ---- data

    def _place(self, blocks, by):
        futures = []
        for rank, mine in enumerate(blocks):
            where = {"workers": [self._workers[rank]], "allow_other_workers": False}
            if all(hasattr(block, "dask") for block in mine):      # chunks of a dask array
                mine = [self.client.compute(block, **where) for block in mine]
            else:
                mine = self.client.scatter(mine, workers=[self._workers[rank]], hash=False)
            futures.append(self.client.submit(_placed, mine, pure=False, **where))
        with _current(self.client):
            wait(futures, timeout=self.deadline_s)
        for future in futures:
            if future.status == "error":
                raise future.exception()
        return Shards(futures, by, fetch=lambda future: future.result(self.deadline_s).value)

    # ---- workers

    def _survey(self):
        """Ask the scheduler for its workers: {address: number of tasks they have}."""
        return {worker: len(tasks) for worker, tasks in self.client.processing().items()}

    def _choose(self, survey, idle=True):
        """Keep the ranks' workers while they are free; replace those that are gone."""
        limit = time.monotonic() + REPLACEMENT_S
        while True:
            kept = [worker for worker in self._workers if worker in survey]
            free = [w for w, tasks in survey.items() if w not in kept and not (idle and tasks)]
            chosen = (kept + free)[:self.workers]
            ready = not idle or all(survey[worker] == 0 for worker in chosen)
            if len(chosen) == self.workers and ready:
                break
            # A new world does not wait; one that has lost a worker waits for its replacement.
            if not self._workers or time.monotonic() > limit:
                raise ClusterError(
                    "There are fewer free workers than peers.", expected=self.workers,
                    got=f"{sum(t == 0 for t in survey.values())} free of {len(survey)}",
                    where=self.client.scheduler.address,
                    remedy="ask for fewer workers, start more, or wait for the others' work to end")
            time.sleep(0.1)
            survey = self._survey()
        new = [worker for worker in chosen if worker not in self._listens]
        if new:
            self._open_hubs(new)
        spare = iter([worker for worker in chosen if worker not in self._workers])
        self._workers = [worker if worker in survey else next(spare)
                         for worker in self._workers] or chosen

    def _open_hubs(self, workers):
        try:
            hubs = self.client.run(rendezvous.open_hub, self._id, workers=workers)
        except ModuleNotFoundError as error:
            raise ClusterError(
                "The workers cannot import labkit.", got=error, where=workers[0],
                remedy="install the same labkit in the environment of the workers") from error
        processes = {(hub.machine, hub.card[0]) for hub in hubs.values()}
        if len(processes) < len(hubs):
            raise ClusterError("Workers share a process.", expected="one process a worker",
                               got=f"{len(processes)} processes for {len(hubs)} workers",
                               remedy="start workers with --nthreads 1 --nworkers N")
        self._listens.update(hubs)

    def _close_hubs(self):
        alive = [worker for worker in self._listens if worker not in self._gone]
        with contextlib.suppress(Exception):         # a worker that is gone has closed its own
            self.client.run(rendezvous.close_hub, self._id, workers=alive, on_error="ignore")

    def _stop_peers(self, futures):
        alive = [worker for worker in self._workers if worker not in self._gone]
        with contextlib.suppress(Exception):
            self.client.run(rendezvous.interrupt_peer, self._id, workers=alive, on_error="ignore")
        self.client.cancel(futures, force=True)

    def _replace(self, workers, futures):
        """End workers whose tasks do not return: their threads cannot be stopped otherwise.

        On a cluster given by address that works for workers that a nanny watches; others
        stay busy until their task returns.
        """
        self.client.cancel(futures, force=True)      # or the tasks would go to other workers
        with contextlib.suppress(Exception):
            self.client.restart_workers(workers, timeout=REPLACEMENT_S, raise_for_error=False)

    def _on_event(self, event):
        _, message = event
        if message.get("action") == "remove-worker":
            self._gone.add(message["worker"])

    @contextlib.contextmanager
    def _exclusive(self):
        """One run at a time: peers of two runs, each waiting for a worker, would deadlock."""
        if not self._busy.acquire(blocking=False):
            raise ClusterError("This world is busy with another run.",
                               remedy="wait for it, or open a second world")
        with ExitStack() as held:
            held.callback(self._busy.release)
            held.enter_context(_current(self.client))
            if self._shared:
                lock = Lock("labkit")
                if not lock.acquire(timeout=self.deadline_s):
                    raise ClusterError("The cluster is busy with others' runs.",
                                       where=self.client.scheduler.address,
                                       remedy="try again later")
                held.callback(lock.release)
            yield

    # ---- errors

    def _lost_error(self, lost):
        who = ", ".join(f"peer {rank} at {self._workers[rank]}" for rank in lost)
        return ClusterError("A worker died during the run.", got=who,
                            expected="all workers alive to the end",
                            remedy="run again: a worker that was started here is replaced; "
                                   "data that had been placed on it must be sharded again")

    def _overdue_error(self, late):
        return DeadlineExceeded(
            "Peers still compute after the deadline.", expected=f"{self.deadline_s} s",
            got=f"peers {late}", remedy="give the world a longer deadline_s")


def _raise_first(failed, deadline_s):
    """Raise the cause among errors of which most are consequences."""
    for outcome in failed:
        if outcome.cause == "program":
            raise outcome.error from cause_of(outcome.error)
    waiting = [outcome for outcome in failed if outcome.cause == "waiting"]
    if waiting:
        waits = "; ".join(outcome.waits for outcome in failed if outcome.waits)
        raise DeadlockError("The peers wait for each other.", got=waits,
                            expected=f"every message that is awaited is sent within {deadline_s} s",
                            remedy="find the peer that should have sent; labkit.simulated finds "
                                   "a deadlock at once")
    raise next((o.error for o in failed if o.cause == "gone"), failed[0].error)


def _pickled(thing):
    try:
        return cloudpickle.dumps(thing)
    except Exception as error:
        what = f"function {task_name(thing)}" if callable(thing) else type(thing).__name__
        raise ConfigurationError(
            f"This {what} cannot be sent to the workers.", got=error,
            expected="something that can be pickled, with all that it refers to",
            remedy="create files, locks and connections inside the program") from error


@contextlib.contextmanager
def _current(client):
    """Make `client` the one that futures of this thread belong to.

    Client.as_current also sets Dask's scheduler for the whole process; where the blocks of two
    threads overlap, it would stay set for ever after.
    """
    token = _current_client.set(client)
    try:
        yield
    finally:
        _current_client.reset(token)


def _placed(blocks):
    return Placed(sharding.concatenate(blocks))
