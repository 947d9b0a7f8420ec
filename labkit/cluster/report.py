"""What the workers of a world are at, told while they are at it.

    worker   every 0.2 s, from its event loop: the peer's counters, and whom it waits for
    client   {worker's address: its newest report}

The thread that runs the program takes no part in it: it counts messages anyway, and another
thread looks at the counters. Nothing runs, and nobody listens, outside of `reports`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time

from distributed.client import ClosedClientError
from distributed.diagnostics.plugin import WorkerPlugin

from labkit.cluster import rendezvous

PERIOD_S = 0.2

tasks = {"begun": 0, "done": 0}          # of maps in this worker, since its process began


class Reporter(WorkerPlugin):
    """Reports from one worker; on a new worker too, as soon as it has joined.

    Parameters
    ----------
    world_id : str
    topic : str
        Of Dask's events.
    period_s : float
    """

    def __init__(self, world_id, topic, period_s):
        self.name = topic
        self.world_id = world_id
        self.topic = topic
        self.period_s = period_s

    def setup(self, worker):
        self._address = worker.address
        self._before = self._totals()
        self._task = asyncio.ensure_future(self._report(worker))

    def teardown(self, worker):
        self._task.cancel()

    async def _report(self, worker):
        while True:
            worker.log_event(self.topic, self.look())
            await asyncio.sleep(self.period_s)

    def look(self):
        """Return what there is to say of this worker now; totals are those since `setup`."""
        totals = {name: now - self._before[name] for name, now in self._totals().items()}
        report = {"worker": self._address, "time": time.time(), **totals, "waits": ""}
        hub = rendezvous._hubs.get(self.world_id)
        me = hub.peer if hub is not None else None
        report["program"] = me is not None
        report["step"] = me._step if me is not None else self._last_step(hub)
        awaits = me._awaits if me is not None else None
        if awaits is not None:           # read once: the program goes on meanwhile
            channel, source = awaits
            who = "any peer" if source is None else source
            report["waits"] = (who if isinstance(who, str) else f"peer {who}") + (
                f" in {channel}" if channel else "")
        return report

    def _last_step(self, hub):
        """Return where the last program ended, if it did so since `setup`."""
        return hub.step if hub is not None and hub.runs > self._before["runs"] else -1

    def _totals(self):
        hub = rendezvous._hubs.get(self.world_id)
        sent = [one for one in (hub, hub and hub.peer) if one is not None]
        return {"messages": sum(one.messages for one in sent),
                "nbytes": sum(one.nbytes for one in sent),
                "runs": hub.runs if hub is not None else 0, **tasks}


def look_again(name, dask_worker):
    """Return the newest report of this worker."""
    return dask_worker.plugins[name].look()


@contextlib.contextmanager
def reports(world, period_s=PERIOD_S):
    """Have the workers of a world report inside a `with` block.

    Parameters
    ----------
    world : ClusterWorld
    period_s : float

    Yields
    ------
    dict
        {worker's address: its newest report}, changed by another thread.
    """
    newest, client = {}, world.client
    topic = f"labkit-report-{secrets.token_hex(8)}"

    def take(event):
        newest[event[1]["worker"]] = event[1]

    client.subscribe_topic(topic, take)
    client.register_plugin(Reporter(world._id, topic, period_s))
    try:
        yield newest
    finally:
        if world.health.is_connected:
            with contextlib.suppress(ClosedClientError, OSError, ValueError):
                alive = [worker for worker in newest if worker not in world.health.gone]
                newest.update({report["worker"]: report for report in client.run(
                    look_again, topic, workers=alive, on_error="ignore").values()})
                client.unregister_worker_plugin(topic)
                client.unsubscribe_topic(topic)
