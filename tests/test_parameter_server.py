"""The parameter server against serial SGD, and against a replay of what it says it did."""

from dataclasses import dataclass

import numpy as np
import pytest

import labkit
from labkit import wire
from labkit.errors import ConfigurationError, ProgramError
from labkit.models.master_worker.compression import EightBit, TopK
from labkit.models.master_worker.parameter_server import Settings, train
from labkit.network import Machine, Network

N = 6                                          # parameters
RNG = np.random.default_rng(0)
OPTIMUM = RNG.standard_normal(N)
X = RNG.standard_normal((8, 40, N))            # a shard for each of up to eight workers
NOISY = X @ OPTIMUM + RNG.standard_normal((8, 40))
START = np.full(N, 3.0)
MACHINE = Machine("1 flop/s", 1.0, 1e15)
FAST = Network("fast", latency_s=1e-9, bandwidth_Bps=1e15)


def gradient(w, step, k, y=NOISY):
    """Least squares on ten rows of shard k, other ones in each step."""
    rows = (10 * step + np.arange(10)) % 40
    return X[k, rows].T @ (X[k, rows] @ w - y[k, rows]) / 10


def exact(w, step, k):
    """The same without noise: all shards agree on the optimum."""
    return gradient(w, step, k, X @ OPTIMUM)


def run(world, gradient=gradient, start=START, work=None, **options):
    how = Settings(**{"steps": 12, "learning_rate": 0.1, **options})

    def program(me):
        first = how.servers

        def mine(w, step):
            return gradient(w, step, me.rank - first)
        costs = None if work is None else lambda step: work(me.rank, step)
        return train(me, mine, start, how, costs)
    return world.run(program)


def virtual(n):
    return labkit.simulated(n, network=FAST, machine=MACHINE)


def serial_sgd(n_workers, steps=12, rate=0.1):
    """Return the parameters after each step."""
    history = [START.copy()]
    for step in range(steps):
        w = history[-1]
        history.append(w - rate * np.mean([gradient(w, step, k) for k in range(n_workers)], axis=0))
    return np.array(history)


def replayed(trained, n_workers, rate=0.1, corrected=False, together=1):
    """Return the parameters that the record of one server stands for.

    Every gradient is computed anew, of the version that it says its worker had read;
    `together` gradients make one update.
    """
    history = [START.copy()]
    for first in range(0, len(trained.applied), together):
        step = np.zeros(N)
        for used in trained.applied[first:first + together]:
            read = history[len(history) - 1 - used.staleness]
            scale = 1 + used.staleness if corrected else 1
            step += gradient(read, used.step, used.worker - 1) / scale
        history.append(history[-1] - rate / (n_workers if together == 1 else together) * step)
    return history[-1]


def times(record):
    """Return when server 0 made each update, as {version: seconds}."""
    return {e.step: e.start_s for e in record.events if e.kind == "step" and e.rank == 0}


# ---- the answer


@pytest.mark.parametrize("servers", [1, 2])
def test_synchronous_training_is_serial_sgd(world, servers):
    found, *others = run(world, servers=servers).results
    np.testing.assert_allclose(found.parameters, serial_sgd(3 - servers)[-1], rtol=1e-12)
    assert others == [None, None]
    assert {(used.staleness, used.ahead) for used in found.applied} == {(0, 0)}
    assert found.dropped == ()


@pytest.mark.parametrize("servers", [1, 2, 3])
@pytest.mark.parametrize("n", [4, 8])
def test_any_number_of_servers_finds_the_same(n, servers):
    expected = serial_sgd(n - servers)
    found = run(virtual(n), servers=servers, keep_every=3).results[0]
    np.testing.assert_allclose(found.parameters, expected[-1], rtol=1e-12)
    np.testing.assert_allclose(found.snapshots, expected[[3, 6, 9, 12]], rtol=1e-12)
    assert len(found.applied) == 12 * (n - servers) * servers


def test_more_servers_than_parameters_hold_empty_parts():
    found = run(labkit.serial(9), servers=7).results[0]
    np.testing.assert_allclose(found.parameters, serial_sgd(2)[-1], rtol=1e-12)


@pytest.mark.parametrize("servers", [1, 2])
def test_staleness_0_is_synchronous(world, servers):
    found = run(world, mode="stale", staleness=0, servers=servers).results[0]
    np.testing.assert_allclose(found.parameters, serial_sgd(3 - servers)[-1], rtol=1e-12)
    assert {used.ahead for used in found.applied} == {0}
    assert found.dropped == ()


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("mode", ["asynchronous", "stale"])
def test_disorder_gives_what_its_record_says(world, mode, corrected):
    options = dict(staleness=2) if mode == "stale" else {}
    found = run(world, mode=mode, correct_staleness=corrected, **options).results[0]
    assert len(found.applied) == 12 * 2
    np.testing.assert_allclose(found.parameters, replayed(found, 2, corrected=corrected),
                               rtol=1e-12)


def test_backup_workers_give_what_their_record_says(world):
    found = run(world, backups=1).results[0]
    assert len(found.applied) == 12
    np.testing.assert_allclose(found.parameters, replayed(found, 2, together=1, rate=0.2),
                               rtol=1e-12)
    assert all(used.staleness > 0 for used in found.dropped)


def test_parameters_keep_their_dtype_and_the_start_is_not_changed(world):
    start = START.astype(np.float32)
    found = run(world, start=start).results[0]
    assert found.parameters.dtype == np.float32
    np.testing.assert_allclose(found.parameters, serial_sgd(2)[-1], rtol=1e-5)
    np.testing.assert_array_equal(start, START)


def test_no_steps_change_nothing(world):
    record = run(world, steps=0, keep_every=1)
    np.testing.assert_array_equal(record.results[0].parameters, START)
    assert record.messages == 0 and record.results[0].snapshots.shape == (0, N)


# ---- convergence


@pytest.mark.parametrize("kind", ["serial", "simulated"])
@pytest.mark.parametrize("corrected", [False, True])
def test_asynchronous_training_finds_the_optimum_that_all_shards_share(kind, corrected):
    with getattr(labkit, kind)(5) as world:
        found = run(world, exact, mode="asynchronous", steps=300, correct_staleness=corrected,
                    learning_rate=0.3 if corrected else 0.1).results[0]
    np.testing.assert_allclose(found.parameters, OPTIMUM, atol=1e-6)
    assert max(used.staleness for used in found.applied) >= 3, "or nothing was asynchronous"


def test_stale_training_finds_the_optimum(world):
    """Staleness is bounded, so this holds however slow a real worker may be."""
    found = run(world, exact, mode="stale", staleness=2, steps=200,
                learning_rate=0.2).results[0]
    np.testing.assert_allclose(found.parameters, OPTIMUM, atol=1e-6)


@pytest.mark.parametrize("scheme", [TopK(0.3), EightBit(4)], ids=["top-k", "eight bits"])
@pytest.mark.parametrize("servers", [1, 2])
def test_compressed_training_finds_the_optimum(world, scheme, servers):
    found = run(world, exact, compression=scheme, servers=servers, steps=120,
                learning_rate=0.2).results[0]
    np.testing.assert_allclose(found.parameters, OPTIMUM, atol=1e-6)


@dataclass(frozen=True)
class Forgetful(TopK):
    """Top-k that does not remember what it has left out."""

    feedback = False


def test_top_k_converges_because_it_remembers():
    """Two parameters whose gradients differ in size: alone, the small one never travels."""
    def steep(w, step, k):
        return np.array([np.sign(w[0]), 0.1 * w[1]])

    def second(scheme):
        return run(labkit.serial(2), steep, np.array([0.55, 1.0]), steps=300,
                   compression=scheme).results[0].parameters[1]

    assert second(Forgetful(0.5)) == 1.0
    assert abs(second(TopK(0.5))) < 0.2


def test_eight_bits_draw_as_the_seed_says():
    def trained(seed):
        with labkit.serial(3) as world:
            return run(world, compression=EightBit(), seed=seed).results[0].parameters.tolist()

    assert trained(1) == trained(1) != trained(2)


# ---- who waits for whom


def straggle(slow, factor=10.0):
    """Worker `slow` needs `factor` seconds for a gradient, all others one."""
    return lambda rank, step: dict(flops=factor if rank == slow else 1.0)


@pytest.mark.parametrize("staleness", [0, 1, 3])
def test_no_worker_is_further_ahead_than_the_bound(staleness):
    found = run(virtual(4), mode="stale", staleness=staleness, work=straggle(3)).results[0]
    assert max(used.ahead for used in found.applied) == staleness


@pytest.mark.parametrize("staleness", [0, 1, 3])
def test_the_bound_holds_in_every_world(world, staleness):
    found = run(world, mode="stale", staleness=staleness).results[0]
    assert max(used.ahead for used in found.applied) <= staleness
    assert max(used.staleness for used in found.applied) <= 2 * staleness + 1


def test_without_a_bound_fast_workers_run_ahead():
    found = run(virtual(4), mode="asynchronous", work=straggle(3)).results[0]
    assert max(used.ahead for used in found.applied) > 3
    given = [sum(used.worker == w for used in found.applied) for w in (1, 2, 3)]
    assert sum(given) == 36 and given[2] == 1 and min(given[:2]) >= 17


def test_everyone_waits_for_a_straggler_or_nobody_does():
    synchronous = run(virtual(5), work=straggle(4))
    asynchronous = run(virtual(5), mode="asynchronous", work=straggle(4))
    # 12 steps of 10 s; 48 gradients by three workers that make one a second and one of a tenth.
    assert times(synchronous)[12] == pytest.approx(120, abs=1e-3)
    assert times(asynchronous)[48] == pytest.approx(16, abs=1e-3)
    assert asynchronous.seconds <= 20 + 1e-3


def test_asynchronous_training_is_nearer_to_the_optimum_at_the_same_time():
    def distance(now, **options):
        record = run(virtual(5), exact, keep_every=1, work=straggle(4), steps=100, **options)
        version = max(v for v, when in times(record).items() if when <= now)
        return np.linalg.norm(record.results[0].snapshots[version - 1] - OPTIMUM)

    assert distance(50.5, mode="asynchronous") < distance(50.5) / 10


def test_a_stale_bound_lies_between():
    def ends(**options):
        # Worker 4 is slow in every fourth of its steps only, the others in turn.
        record = run(virtual(5), work=lambda rank, step: dict(
            flops=10.0 if (step + rank) % 4 == 0 else 1.0), **options)
        return max(times(record).values())

    waits = [ends(), *(ends(mode="stale", staleness=s) for s in (1, 3)), ends(mode="asynchronous")]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] == pytest.approx(120, abs=1e-3)
    assert waits[-1] < 50


def test_backup_workers_cut_the_tail():
    plain = run(virtual(5), work=straggle(4))
    backed = run(virtual(5), backups=1, work=straggle(4))
    assert times(plain)[12] == pytest.approx(120, abs=1e-3)
    assert times(backed)[12] == pytest.approx(12, abs=1e-3)
    found = backed.results[0]
    assert [used.worker for used in found.applied] == [1, 2, 3] * 12
    assert {used.worker for used in found.dropped} == {4}
    np.testing.assert_allclose(found.parameters, replayed(found, 4, together=3), rtol=1e-12)
    np.testing.assert_allclose(found.parameters, serial_sgd(3)[-1], rtol=1e-12)


def test_a_late_gradient_counts_less_when_staleness_is_corrected():
    """Worker 2 sends one gradient, of the start, after worker 1 has sent nine."""
    def told(w, step, k):
        return np.array([0.0, 1.0]) if k == 1 else np.array([1.0, 0.0])

    def moved(corrected):
        found = run(virtual(3), told, np.zeros(2), mode="asynchronous", steps=5,
                    learning_rate=1.0, correct_staleness=corrected,
                    work=straggle(2, 9.5)).results[0]
        assert [(u.worker, u.staleness) for u in found.applied] == [(1, 0)] * 9 + [(2, 9)]
        return found.parameters.tolist()

    assert moved(False) == [-4.5, -0.5]
    assert moved(True) == pytest.approx([-4.5, -0.05])


# ---- what travels


def traffic(record, servers):
    """Messages and bytes between servers and workers, and between servers."""
    sent = [e for e in record.events if e.kind == "send"]
    between = [e for e in sent if e.rank < servers and e.peer < servers]
    assert record.messages == len(sent)
    return len(sent) - len(between), sum(e.nbytes for e in sent) - sum(
        e.nbytes for e in between), len(between)


@pytest.mark.parametrize("options", [dict(), dict(mode="stale")], ids=["synchronous", "stale"])
@pytest.mark.parametrize("servers", [1, 2])
def test_a_step_costs_two_messages_for_each_worker_and_server(world, options, servers):
    W, S, steps, stop = 3 - servers, servers, 12, wire.size_of(None)
    messages, nbytes, between = traffic(run(world, servers=S, **options), S)
    assert (messages, between) == (2 * S * W * steps, S - 1)
    assert nbytes == 8 * N * W * (2 * steps - 1) + S * W * stop


def test_asynchronous_training_drops_one_gradient_of_all_workers_but_one(world):
    record = run(world, mode="asynchronous")
    found, stop = record.results[0], wire.size_of(None)
    assert len(found.dropped) == 1
    pushes = 24 + 1
    assert record.messages == 2 * pushes
    assert record.nbytes == 8 * N * (2 * pushes - 2) + 2 * stop


@pytest.mark.parametrize(("scheme", "nbytes"), [(TopK(0.3), 2 * 12), (EightBit(4), 6 + 2 * 4)],
                         ids=["top-k", "eight bits"])
def test_compressed_gradients_are_the_bytes_of_their_closed_forms(world, scheme, nbytes):
    record = run(world, compression=scheme)
    W, steps, stop = 2, 12, wire.size_of(None)
    assert record.messages == 2 * W * steps
    assert record.nbytes == W * (steps * nbytes + (steps - 1) * 8 * N + stop)
    pushed = {e.nbytes for e in record.events if e.kind == "send" and e.rank}
    assert pushed == {nbytes}


def test_large_parts_take_the_time_of_their_bytes():
    """One worker: each step sends a gradient and gets parameters; compression saves the former."""
    net = Network("slow", latency_s=0.0, bandwidth_Bps=1e6)
    n, steps = 10_000, 3

    def seconds(scheme):
        world = labkit.simulated(2, network=net, machine=MACHINE)
        return run(world, lambda w, step, k: w, np.ones(n), steps=steps, compression=scheme).seconds

    def wire_s(pushed):
        return (steps * pushed + (steps - 1) * 8 * n + wire.size_of(None)) / 1e6

    assert seconds(None) == pytest.approx(wire_s(8 * n))
    assert seconds(TopK(0.01)) == pytest.approx(wire_s(12 * n / 100))
    assert seconds(EightBit(100)) == pytest.approx(wire_s(n + 4 * n / 100))


def test_a_server_needs_time_to_move_its_parameters():
    """24 bytes a parameter for each gradient: it is read, the parameter too, and written."""
    world = labkit.simulated(4, network=FAST, machine=Machine("slow memory", 1e15, 48.0))
    assert run(world, steps=5).seconds == pytest.approx(5 * 3 * 24 * N / 48, rel=1e-6)


# ---- errors


@pytest.mark.parametrize("options", [
    dict(mode="sync"), dict(steps=-1), dict(learning_rate=np.inf), dict(servers=0),
    dict(keep_every=-1), dict(staleness=1), dict(mode="stale", staleness=-1),
    dict(mode="asynchronous", backups=1), dict(servers=2, backups=1), dict(backups=-1)])
def test_settings_that_cannot_work_are_refused(options):
    with pytest.raises(ConfigurationError, match=f"where: {list(options)[-1]}="):
        Settings(**{"steps": 1, "learning_rate": 0.1, **options})


@pytest.mark.parametrize(("n", "options"), [(1, dict()), (2, dict(servers=2)),
                                            (3, dict(backups=2))])
def test_too_few_peers_are_refused(n, options):
    with pytest.raises(ProgramError, match="too few peers"):
        run(labkit.serial(n), **options)


def test_a_gradient_of_another_shape_is_refused(world):
    with pytest.raises(ProgramError, match=r"(?s)does not fit.*expected: \(6,\).*got: \(5,\)"):
        run(world, lambda w, step, k: w[:5])
