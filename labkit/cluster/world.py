"""The client's side of the cluster world.

    run   one pinned Dask task a peer, all started together; peers talk over their own links
    map   one Dask task an item; Dask assigns, retries and recomputes them

Dask starts the processes, places the data, introduces the peers and shows them
on its dashboard; it does not carry their messages.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
import time
from contextlib import ExitStack

from distributed import CancelledError, Lock
from distributed.client import ClosedClientError, _current_client

from labkit.cluster import rendezvous, start
from labkit.cluster.entry import TOPIC, Options, pickled
from labkit.cluster.health import Health
from labkit.cluster.inject import Injection, stop_task_faults
from labkit.cluster.runs import REPLACEMENT_S, PeerRun
from labkit.cluster.shards import Part, place
from labkit.cluster.tasks import Tasks
from labkit.cluster.watch import Watch
from labkit.elastic import TRIES
from labkit.errors import ClusterError, ConfigurationError, DeadlineExceeded
from labkit.records import Events, Run, WorldInfo
from labkit.serial import task_name
from labkit.sharding import Shards
from labkit.world import World, check_shards, check_workers


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
        True starts a cluster whose connections all use TLS; the environment variable
        LABKIT_SECURITY=tls does so for all worlds that are started here.
    transport : {"auto", "tcp"}
        How peers of one host talk: by Unix sockets and by reading large arrays from each
        other's memory, or like those of different hosts. TLS implies the latter.
    checksums : bool
        Whether what passes a socket is checked, and sent again where it is wrong: see
        `Run.resent`. Arrays that are read from their owner's memory pass none; TLS checks
        by itself, and ends the connection.
    hang_s : float
        How long a worker's process may be stopped before its nanny ends and replaces it.

    Raises
    ------
    ConfigurationError
        For a number of workers below 1, or two of them.
    ClusterError
        If no scheduler answers, or it has fewer free workers than peers.
    """

    _cuts_views = True       # what is sent is a copy; the source stays with the caller

    def __init__(self, workers_or_address=None, workers=None, *, deadline_s=120,
                 memory_limit="auto", security=None, transport="auto", checksums=False,
                 hang_s=1.5):
        workers, address = start.resolve(workers_or_address, workers)
        if workers is not None:
            check_workers(workers)
        if not deadline_s > 0:
            raise ConfigurationError("A deadline lies in the future.", got=deadline_s,
                                     expected="seconds, more than 0", where="deadline_s=",
                                     remedy="pass deadline_s=120, for example")
        if transport not in ("auto", "tcp"):
            raise ConfigurationError("This transport is not known.", expected="'auto' or 'tcp'",
                                     got=repr(transport), where="transport=",
                                     remedy="leave it out")
        self.deadline_s = deadline_s
        self.transport = transport
        self.checksums = checksums
        self.hang_s = hang_s
        self._id = secrets.token_hex(8)
        self._busy = threading.Lock()
        self._stack = ExitStack()
        self._workers = []               # addresses by rank
        self._numbers = {}               # the rank of every address that has had one
        self._listens = {}               # worker address -> its hub's Address
        try:
            if address is None:
                workers = workers or start.default_workers()
                if security is None:
                    security = start.wants_tls()
                self.client = start.start_local(workers, self._stack, memory_limit, security)
            else:
                self.client = start.connect(address, self._stack, security)
            self._shared = address is not None
            self.health = Health(self.client, self._stack)
            self._watch(hang_s)
            survey = self._survey()
            super().__init__(workers if workers is not None else max(1, len(survey)))
            self._choose(survey)
        except BaseException:
            self._stack.close()
            raise

    @property
    def dashboard(self):
        """The address of Dask's dashboard; None where the scheduler was started without one."""
        try:
            return self.client.dashboard_link
        except KeyError:
            return None

    def _watch(self, hang_s):
        """Have nannies end workers that stand still."""
        watch = Watch(f"labkit-{self._id}", TOPIC, hang_s)
        self.client.register_plugin(watch)
        if self._shared:
            self._stack.callback(self._unwatch, watch.name)

    def _unwatch(self, name):
        if self.health.is_connected:
            self.client.unregister_worker_plugin(name, nanny=True)

    def close(self):
        """End what this world started; leave a cluster that was given by address running."""
        self._stack.close()

    def like(self, **changes):
        settings = dict(workers=self.workers, deadline_s=self.deadline_s,
                        security=self.client.security, transport=self.transport,
                        checksums=self.checksums, hang_s=self.hang_s)
        return ClusterWorld(self.client.scheduler.address, **settings | changes)

    def __repr__(self):
        return f"<labkit.cluster: {self.workers} workers at {self.client.scheduler.address}>"

    # ---- run

    def run(self, program, *shards, record=True, tolerate_loss=False, faults=None, elastic=None,
            checkpoints=None):
        check_shards(shards, self.workers)
        plan, elastic, checkpoints = self._under_run(faults, elastic, checkpoints)
        code = pickled(program)
        job = secrets.token_hex(8) if elastic or checkpoints is not None else ""
        options = Options(self.deadline_s, record, self.transport, self.checksums, plan=plan,
                          plan_key=secrets.token_hex(4), job=job, checkpoints=checkpoints)
        with self._exclusive():
            self._choose(self._survey())
            self._bring_home(*shards)
            run = PeerRun(self, code, task_name(program), shards, options, elastic, tolerate_loss)
            return self._made(run.go())

    def _info(self, links=()):
        # Each link has two ends.
        transport = ", ".join(f"{n // 2} {kind}" for kind, n in sorted(dict(links).items()))
        return WorldInfo("cluster", self.workers, detail=self.client.scheduler.address,
                         transport=transport)

    # ---- map

    def map(self, task, items, work=None, record=True, keep=None, backup=None, faults=None):
        code = pickled(task)
        plan = self._under_map(faults)
        kept = isinstance(items, Shards) and items.by == "kept"
        shards, items = items, items.parts if isinstance(items, Shards) else list(items)
        with self._exclusive():
            survey = self._survey()
            # Dask may be making kept parts again that a dead worker held: that is no one's run.
            self._choose(survey, idle=not kept)
            self._bring_home(shards)
            # A task that may run anywhere also runs on the replacement of a worker that died.
            where = self._workers if len(survey) > self.workers else None
            began = time.time()
            numbers = {worker: number for number, worker in enumerate(self._workers)}
            key = secrets.token_hex(4)
            injection = Injection(key, numbers, plan, began) if plan else None
            tasks = Tasks(self.client, task_name(task), code, items, where, keep, self._item,
                          self._is_stranded, self.health.cause, injection)
            try:
                self._finish(tasks, backup)
                ended = time.time()
            except BaseException:
                self._cancel(tasks.futures)
                self.health.check_scheduler()
                raise
            finally:
                if plan:
                    self._on_workers(stop_task_faults, key)
        answers = [tasks.answers[number] for number in range(len(items))]
        deaths = {w: d for w, d in self.health.gone.items() if w in numbers and d.time >= began}
        for worker in {answer.worker for answer in answers} - numbers.keys():
            dead = [number for w, number in numbers.items() if w in deaths]
            numbers[worker] = dead[0] if dead else -1
        returned = answers if keep is None else []
        events = tasks.events(numbers, began, deaths) if record else []
        marks = self.health.marks(began, numbers, plan, key) + tasks.marks(numbers, deaths)
        events += [(kind, rank, begin - began, end - began, *rest)
                   for kind, rank, begin, end, *rest in marks]
        return self._made(Run(
            tasks.results(self.deadline_s), ended - began, len(returned),
            sum(answer.nbytes for answer in returned), Events(events), world=self._info()))

    def _item(self, item, anew=False):
        """Return an item as Dask takes it: futures in the place of parts."""
        if isinstance(item, tuple):              # of zipped shards, perhaps
            return tuple(self._item(one, anew) for one in item)
        if not isinstance(item, Part):
            return item
        if anew and item.future.status != "finished":
            item.future = None
        return self._future(item)

    def _is_stranded(self, item):
        """Say whether an item waits for a chunk of a dask array on a worker that is gone.

        Dask would read the chunk again on that worker only. (It knows nothing of where other data
        came from, and tells at once that it is lost.)
        """
        return any(part.is_read and part.worker in self.health.gone for part in _parts_of(item))

    def _finish(self, tasks, backup):
        try:
            tasks.finish(self.deadline_s, self.health.look, backup, self._workers)
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
        parts = [Part(mine) for mine in blocks]
        self._choose(self._survey(), idle=False)         # who was lost is replaced by now
        with _current(self.client):
            place(self.client, parts, self._workers, self.deadline_s)
        return Shards(parts, by, fetch=self._fetch)

    def _fetch(self, part):
        with _current(self.client):
            return self._future(part).result(self.deadline_s).value

    def _bring_home(self, *shards):
        """Place each part with the worker of its number again, if it was with others meanwhile."""
        for one in shards:
            if isinstance(one, Shards) and len(one) == self.workers:
                for item, worker in zip(one.parts, self._workers):
                    for part in _parts_of(item):
                        if part.worker != worker:
                            self._place_again(part, worker)

    def _future(self, part, worker=None):
        """Return a part's future; if its worker is gone, place the part anew, with `worker`."""
        if (part.future is None or part.worker in self.health.gone
                or part.future.status in ("lost", "cancelled")):
            worker = worker or self._workers[self._numbers.get(part.worker, 0)]
            self._place_again(part, worker)
        return part.future

    def _place_again(self, part, worker):
        for attempt in range(TRIES):
            try:
                place(self.client, [part], [self._alive(worker)], self.deadline_s)
                return
            except (CancelledError, KeyError):           # it has died, which nobody knew yet
                if attempt == TRIES - 1:
                    raise
                time.sleep(0.1)

    def _alive(self, worker):
        """Return this worker, or one that lives."""
        limit = time.monotonic() + REPLACEMENT_S
        while worker in self.health.gone:
            alive = [other for other in self._survey() if other not in self.health.gone]
            if alive:
                return alive[0]
            if time.monotonic() > limit:
                raise ClusterError("All workers have died, and none was replaced.",
                                   where=self.client.scheduler.address)
            time.sleep(0.05)
        return worker

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
        self._open_new_hubs(chosen)
        spare = iter([worker for worker in chosen if worker not in self._workers])
        self._workers = [worker if worker in survey else next(spare)
                         for worker in self._workers] or chosen
        self._numbers.update(zip(self._workers, itertools.count()))

    def _open_new_hubs(self, workers):
        while self.health.reborn:
            self._listens.pop(self.health.reborn.pop(), None)
        new = [worker for worker in workers if worker not in self._listens]
        if new:
            self._open_hubs(new)

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
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        self.health.add({worker: known[worker] for worker in hubs if worker in known})

    def _on_workers(self, function, *args):
        """Run a function in every worker that was given a hub, and still lives."""
        if not self.health.is_connected:
            return
        alive = [worker for worker in self._listens if worker not in self.health.gone]
        with contextlib.suppress(Exception):         # one that dies meanwhile needs it no more
            self.client.run(function, *args, workers=alive, on_error="ignore")

    def _close_hubs(self):
        self._on_workers(rendezvous.close_hub, self._id)

    def _stop_peers(self, futures):
        self._on_workers(rendezvous.interrupt_peer, self._id)
        self._cancel(futures)

    def _cancel(self, futures):
        with contextlib.suppress(ClosedClientError):
            self.client.cancel(futures, force=True)

    def _replace(self, workers, futures):
        """End workers whose tasks do not return: their threads cannot be stopped otherwise.

        On a cluster given by address that works for workers that a nanny watches; others
        stay busy until their task returns.
        """
        self.client.cancel(futures, force=True)      # or the tasks would go to other workers
        with contextlib.suppress(Exception):
            self.client.restart_workers(workers, timeout=REPLACEMENT_S, raise_for_error=False)

    @contextlib.contextmanager
    def _exclusive(self):
        """One run at a time: peers of two runs, each waiting for a worker, would deadlock."""
        if not self._busy.acquire(blocking=False):
            raise ClusterError("This world is busy with another run.",
                               remedy="wait for it, or open a second world")
        with ExitStack() as held:
            held.callback(self._busy.release)
            self.health.check_scheduler()
            held.enter_context(_current(self.client))
            if self._shared:
                lock = Lock("labkit")
                if not lock.acquire(timeout=self.deadline_s):
                    raise ClusterError("The cluster is busy with others' runs.",
                                       where=self.client.scheduler.address,
                                       remedy="try again later")
                held.callback(self._release, lock)
            yield


    def _release(self, lock):
        if self.health.is_connected:
            lock.release()


def _parts_of(item):
    """Return the parts in an item, which may be a tuple of some (of zipped shards) or hold none."""
    return [part for part in (item if isinstance(item, tuple) else (item,))
            if isinstance(part, Part)]


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
