"""Programs as learners write them, each wrong in a way of its own, and what is to be said of it.

Each is entered in WRONG with what `check` is given, the kind of mistake, the peers of the smallest
case, and words that the diagnosis has to contain. RIGHT has programs that nothing may be said of.
"""

import threading
import time
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from labkit.checking import Targets
from labkit.collectives import ALGORITHMS
from labkit.errors import PeerLost
from labkit.faults import Crash, FaultPlan
from labkit.models import master_worker
from labkit.models.peer_to_peer import gossip
from labkit.topology import graph


class Wrong(NamedTuple):
    """A wrong program, and what has to be found."""

    program: Any
    answer: Any
    kind: str
    n_peers: int
    says: tuple[str, ...]
    """Words of the diagnosis, or of the detail."""
    how: dict


WRONG = {}
RIGHT = {}


def wrong(answer, kind, n_peers, *says, **how):
    def enter(program):
        WRONG[program.__name__] = Wrong(program, answer, kind, n_peers, says, how)
        return program
    return enter


def right(answer, **how):
    def enter(program):
        RIGHT[program.__name__] = program, answer, how
        return program
    return enter


def around(me):
    return (me.rank + 1) % me.size, (me.rank - 1) % me.size


# ---- ring all-reduce


@right("sum")
def ring(me, part):
    out = part.copy()
    parts = np.array_split(out, me.size)
    to, source = around(me)
    for step in range(me.size - 1):
        me.step(step)
        parts[(me.rank - step - 1) % me.size] += me.sendrecv(
            to, parts[(me.rank - step) % me.size], source)
    for step in range(me.size - 1):
        me.step(me.size - 1 + step)
        parts[(me.rank - step) % me.size][...] = me.sendrecv(
            to, parts[(me.rank - step + 1) % me.size], source)
    return out


@wrong("sum", "sum", 2, "Peer 0 never received the finished part 0 (entry 0)",
       "it holds only the values of peer 0 there", unread=True)
def ring_that_stops_too_early(me, part):
    out = part.copy()
    parts = np.array_split(out, me.size)
    to, source = around(me)
    for step in range(me.size - 1):
        me.step(step)
        parts[(me.rank - step - 1) % me.size] += me.sendrecv(
            to, parts[(me.rank - step) % me.size], source)
    for step in range(me.size - 2):
        me.step(me.size - 1 + step)
        parts[(me.rank - step) % me.size][...] = me.sendrecv(
            to, parts[(me.rank - step + 1) % me.size], source)
    return out


@wrong("sum", "sum", 3, "peer 2's value is counted twice in peer 0's result.",
       "it came to peer 0 from peer 2 in step 0 and peer 2 in step 1")
def ring_that_sends_the_sum_so_far(me, part):
    total = part.copy()
    to, source = around(me)
    for step in range(me.size - 1):
        me.step(step)
        total = total + me.sendrecv(to, total, source)
    return total


@wrong("sum", "sum", 3, "peer 0's value is missing in entry 0 (part 0) of peer 0's result",
       "It came as far as peer 2, from peer 1 in step 3.")
def ring_that_adds_to_the_wrong_part(me, part):
    out = part.copy()
    parts = np.array_split(out, me.size)
    to, source = around(me)
    for step in range(me.size - 1):
        me.step(step)
        parts[(me.rank - step + 1) % me.size] += me.sendrecv(
            to, parts[(me.rank - step) % me.size], source)
    for step in range(me.size - 1):
        me.step(me.size - 1 + step)
        parts[(me.rank - step) % me.size][...] = me.sendrecv(
            to, parts[(me.rank - step + 1) % me.size], source)
    return out


@wrong("sum", "circle", 2, "Peers 0 and 1 wait for each other in step 0.")
def ring_in_which_all_receive_first(me, part):
    total, passed = part.copy(), part
    to, source = around(me)
    for step in range(me.size - 1):
        me.step(step)
        received = me.recv(source)
        me.send(to, passed)
        total, passed = total + received, received
    return total


@wrong("sum", "circle", 3, "Peers 0, 2 and 1 wait in a circle: 0 for 2, 2 for 1, 1 for 0.",
       peers=range(3, 10))
def ring_of_three_in_which_all_receive_first(me, part):
    total, passed = part.copy(), part
    to, source = around(me)
    for _ in range(me.size - 1):
        received = me.recv(source)
        me.send(to, passed)
        total, passed = total + received, received
    return total


@wrong("sum", "misdirected", 3, "With more than 2 peers: peer 0 waits in step 0 for peer 2",
       "sent its message in step 0 to peer 1 instead", "Peer 0 has mail from peer 1")
def ring_that_sends_the_wrong_way(me, part):
    total, passed = part.copy(), part
    to, source = (me.rank - 1) % me.size, (me.rank - 1) % me.size
    for step in range(me.size - 1):
        me.step(step)
        passed = me.sendrecv(to, passed, source)
        total = total + passed
    return total


@wrong("sum", "raises ConfigurationError", 1, "With 1 peer:", "Peer 0 cannot send to itself")
def ring_that_forgets_one_peer(me, part):
    to, source = around(me)
    passed, total = part, part.copy()
    for _ in range(max(1, me.size - 1)):
        passed = me.sendrecv(to, passed, source)
        total = total + passed
    return total


@right("sum")
def doubling(me, part):
    if me.size & (me.size - 1):
        return me.allreduce(part)
    total, distance = part, 1
    while distance < me.size:
        other = me.rank ^ distance
        total = total + me.sendrecv(other, total, other)
        distance *= 2
    return total.copy()


@wrong("sum", "sum", 3, "When the number of peers is no power of two: peer 2's value is missing "
       "in peer 1's result.", "It came as far as peer 0, from peer 2 in step 1.")
def doubling_for_powers_of_two(me, part):
    total, distance, step = part.copy(), 1, 0
    while distance < me.size:
        me.step(step)
        other = me.rank ^ distance
        if other < me.size:
            total = total + me.sendrecv(other, total, other)
        distance, step = 2 * distance, step + 1
    return total


@wrong("reduce", "sum", 3, "When the number of peers is odd: peer 2's value is missing in peer 0's "
       "result.", "Peer 2 sent it to nobody.")
def reduce_in_pairs(me, part):
    """Each even peer adds up a pair; the last one of an odd number has nobody."""
    total = part.copy()
    if me.rank % 2:
        me.send(me.rank - 1, total)
    elif me.rank + 1 < me.size:
        total += me.recv(me.rank + 1)
    pairs = range(2, me.size - 1, 2)
    if me.rank in pairs:
        me.send(0, total)
    if me.rank == 0:
        for other in pairs:
            total += me.recv(other)
    return total


@right(lambda parts: list(np.cumsum(parts, axis=0)))
def running_sums(me, part):
    total, distance = part.copy(), 1
    while distance < me.size:
        if me.rank + distance < me.size:
            me.send(me.rank + distance, total)
        if me.rank >= distance:
            total = total + me.recv(me.rank - distance)
        distance *= 2
    return total


# ---- all-gather


@right("gather")
def gather_around(me, part):
    found = [None] * me.size
    found[me.rank] = part
    to, source = around(me)
    for step in range(me.size - 1):
        found[(me.rank - step - 1) % me.size] = me.sendrecv(
            to, found[(me.rank - step) % me.size], source)
    return found


@wrong("gather", "placed", 3, "peer 2's value is where peer 1's belongs", "peer 0's result")
def gather_that_counts_the_wrong_way_round(me, part):
    found = [None] * me.size
    found[me.rank] = passed = part
    to, source = around(me)
    for step in range(me.size - 1):
        me.step(step)
        passed = me.sendrecv(to, passed, source)
        found[(me.rank + step + 1) % me.size] = passed
    return found


@wrong("gather", "placed", 3, "With more than 2 peers: peer 2's value is where peer 1's belongs",
       "in entries 3 to 5 of peer 0's result")
def gather_that_passes_nothing_on(me, part):
    found = [part] * me.size
    to, source = around(me)
    for step in range(me.size - 1):
        me.step(step)
        found[(me.rank - step - 1) % me.size] = me.sendrecv(to, part, source)
    return found


@wrong("gather", "placed", 2, "Peer 0's value is missing in entries 0 and 1 of peer 1's result.",
       "It was sent last from peer 0 to peer 1")
def gather_that_stores_only_the_right_neighbour(me, part):
    found = [np.zeros_like(part) for _ in range(me.size)]
    found[me.rank] = part
    for other in range(me.size):
        if other != me.rank:
            me.send(other, part)
    for other in range(me.size):
        if other != me.rank:
            received = me.recv(other)
            if other > me.rank:
                found[other] = received
    return found


@wrong("gather", "none", 2, "Peer 1 returns None.")
def gather_without_a_return(me, part):
    found = me.allgather(part)
    if me.rank == 0:
        return found


# ---- broadcast


@right("broadcast")
def tree(me, part):
    message, distance = part if me.rank == 0 else None, 1
    while distance < me.size:
        if me.rank < distance and me.rank + distance < me.size:
            me.send(me.rank + distance, message)
        elif distance <= me.rank < 2 * distance:
            message = me.recv(me.rank - distance)
        distance *= 2
    return message


@wrong("broadcast", "raises ConfigurationError", 3,
       "When the number of peers is no power of two:", "peer 1 raises ConfigurationError",
       "got 3, expected a rank from 0 to 2",
       "me.send(me.rank + distance, message)")
def tree_for_powers_of_two(me, part):
    message, distance = part if me.rank == 0 else None, 1
    while distance < me.size:
        if me.rank < distance:
            me.send(me.rank + distance, message)
        elif me.rank < 2 * distance:
            message = me.recv(me.rank - distance)
        distance *= 2
    return message


@wrong("broadcast", "returned", 2, "Peer 1 waits for peer 0, which has already returned.",
       "Peer 0 sent it nothing.")
def broadcast_that_leaves_out_the_last(me, part):
    if me.rank:
        return me.recv(0)
    for to in range(1, me.size - 1):
        me.send(to, part)
    return part


@wrong("broadcast", "cost rounds", 4, "Right answer, but 3 rounds of messages where 2 suffice "
       "with 4 peers", targets=Targets(rounds=lambda n, nbytes: (n - 1).bit_length()))
def broadcast_along_a_chain(me, part):
    message = part if me.rank == 0 else me.recv(me.rank - 1)
    if me.rank + 1 < me.size:
        me.send(me.rank + 1, message)
    return message


@wrong("broadcast", "placed", 2, "Peer 1's value is where peer 0's belongs")
def broadcast_from_the_last(me, part):
    return me.broadcast(part, root=me.size - 1)


# ---- farms


def squares(parts):
    return [sum(float(x @ x) for x in parts)] + [None] * (len(parts) - 1)


@right(squares)
def farm_of_squares(me, part):
    items = me.allgather(part)
    done = master_worker.farm(me, lambda x: float(x @ x), items)
    return sum(done.results) if me.rank == 0 else None


@wrong(squares, "anyone", 2, "Peer 0 waits for a message from anyone, after 1 message",
       "all others have returned")
def farm_that_waits_for_one_too_many(me, part):
    if me.rank:
        return me.send(0, float(part @ part))
    total = float(part @ part)
    for _ in range(me.size if me.size > 1 else 0):
        total += me.recv_any()[1]
    return total


@wrong(squares, "returned", 3, "peer 2 waits for peer 0, which has already returned.",
       "Peer 0 sent it 1 message; it waits for the 2nd.")
def farm_that_stops_only_the_first(me, part):
    if me.rank == 0:
        total = float(part @ part)
        for worker in range(1, me.size):
            me.send(worker, "work")
        for _ in range(1, me.size):
            total += me.recv_any()[1]
        if me.size > 1:
            me.send(1, "stop")
        return total
    while me.recv(0) != "stop":
        me.send(0, float(part @ part))


@wrong(squares, "endless", 2, "The program does not end: more than 2,000 messages", limit=2000)
def farm_that_never_stops(me, part):
    if me.rank == 0:
        total, left = float(part @ part), me.size - 1
        while left:
            worker, value = me.recv_any()
            total += value
            me.send(worker, "more")
        return total
    while True:
        me.send(0, float(part @ part))
        if me.recv(0) == "stop":
            return None


@wrong(squares, "timeout", 2, "Wrong only when messages are late")
def farm_that_gives_up_too_soon(me, part):
    if me.rank:
        return me.send(0, float(part @ part))
    total = float(part @ part)
    for _ in range(1, me.size):
        found = me.recv_any(timeout_s=0.001)
        total += found[1] if found else 0.0
    while me.recv_any(timeout_s=100.0):
        pass                             # what comes late is thrown away
    return total


# ---- parameter servers and means


@right("mean")
def server_that_knows_ranks(me, part):
    if me.rank:
        me.send(0, part)
        return me.recv(0)
    total = part.copy()
    for _ in range(1, me.size):
        total += me.recv_any()[1]
    for worker in range(1, me.size):
        me.send(worker, total / me.size)
    return total / me.size


@wrong("gather", "order", 3, "overtake each other", "Peer 0 took peer 2's message before peer 1's")
def server_that_trusts_the_order_of_arrival(me, part):
    if me.rank:
        me.send(0, part)
        return me.recv(0)
    found = [part] + [me.recv_any()[1] for _ in range(1, me.size)]
    for worker in range(1, me.size):
        me.send(worker, found)
    return found


@wrong("mean", "order", 3, "overtake each other")
def server_whose_rounds_mix(me, part):
    if me.rank:
        for weight in (1.0, 3.0):
            me.send(0, weight * part)
        return me.recv(0)
    first, second = part.copy(), 3 * part
    for _ in range(1, me.size):
        first += me.recv_any()[1]
    for _ in range(1, me.size):
        second += me.recv_any()[1]
    mean = (second - first) / 2 / me.size
    for worker in range(1, me.size):
        me.send(worker, mean)
    return mean


@wrong("mean", "sum", 3, "When the number of peers is odd", "missing")
def mean_of_pairs(me, part):
    other = me.rank ^ 1
    if other >= me.size:
        return me.allreduce(np.zeros_like(part)) / me.size if me.size > 1 else part
    return me.allreduce(part) / me.size


@wrong("mean", "sum", 2, "Peer 0's value is counted twice in peer 0's result.",
       "Peer 0 is the first to have it twice: see its message to peer 1.")
def server_that_counts_itself_twice(me, part):
    if me.rank:
        me.send(0, part)
        return me.recv(0)
    total = part if me.size == 1 else 2 * part
    for _ in range(1, me.size):
        total = total + me.recv_any()[1]
    me.multicast(range(1, me.size), total / me.size)
    return total / me.size


@wrong("mean", "formula", 1, "Each peer's result is 0.25 times what is expected.")
def mean_by_a_fixed_number(me, part):
    return me.allreduce(part) / 4


@wrong("sum", "sum", 2, "Nobody's value is in")
def sum_that_starts_again(me, part):
    total = me.allreduce(part)
    return total * (me.size == 1)


# ---- gossip


@right("mean", rtol=1e-3, atol=1e-3)
def gossip_on_a_ring(me, part):
    return gossip.synchronous(me, part, graph("ring", me.size), 150).value


@wrong("mean", "value", 2, "Peer 0 returns", rtol=1e-3, atol=1e-3)
def gossip_that_loses_mass(me, part):
    """Gives a half away, and keeps the whole until something comes."""
    value = part.copy()
    to, source = around(me)
    for number in range(40 * (me.size > 1)):
        me.step(number)
        value = 0.5 * me.sendrecv(to, 0.5 * value, source) + 0.5 * value
    return value


@wrong("mean", "chance", 3, "Results differ from run to run: peer 0 returns another one",
       rtol=1, atol=1e9)
def gossip_with_unseeded_partners(me, part):
    value = part.copy()
    if me.size > 1:
        value = value + np.random.default_rng().random()
    return value


# ---- scatter, gather, exchange


@right("reduce_scatter")
def scatter_of_the_sum(me, part):
    return me.reduce_scatter(part)


@wrong("reduce_scatter", "shape", 2, "When the size is not divisible by the number of peers",
       "peer 0 returns shape (1,), expected (2,)")
def scatter_in_equal_pieces(me, part):
    total = me.allreduce(part)
    width = len(part) // me.size
    pieces = np.array_split(total, me.size)
    return pieces[me.rank] if len(part) % me.size == 0 else total[me.rank * width:][:width]


@wrong("scatter", "placed", 2, "Entry 2 of peer 0's part is where its entry 0 belongs, in "
       "entries 0 and 1 of peer 0's result", sizes=(12, 4))
def scatter_that_begins_with_the_second_piece(me, part):
    if me.rank:
        return me.recv(0)
    pieces = np.array_split(part, me.size)
    for to in range(1, me.size):
        me.send(to, pieces[(to + 1) % me.size])
    return pieces[1 % me.size]


@right("alltoall")
def exchange(me, values):
    return me.alltoall(values)


@wrong("alltoall", "placed", 2, "Peer 0's value is where peer 1's belongs", "peer 0's result")
def exchange_that_keeps_what_it_should_send(me, values):
    for other in range(me.size):
        if other != me.rank:
            me.send(other, values[other])
    for other in range(me.size):
        if other != me.rank:
            me.recv(other)
    return values


@wrong("gather", "length", 2, "Peer 1 returns a list of length 1, expected 2.")
def gather_at_the_root_only(me, part):
    found = [part]
    if me.rank == 0:
        found += [me.recv(other) for other in range(1, me.size)]
    else:
        me.send(0, part)
    return found


@wrong("sum", "unread", 2, "Peer 0 sent 1 message to peer 1 that nobody took.")
def sum_with_a_message_too_many(me, part):
    total = me.allreduce(part)
    if me.rank == 0 and me.size > 1:
        me.send(me.size - 1, total)
    return total


# ---- barriers


@wrong("sum", "unlike", 2, "Peer 0 waits in barrier, but peer 1 has returned without it.")
def barrier_for_peer_0_only(me, part):
    total = me.allreduce(part)
    if me.rank == 0:
        me.barrier()
    return total


@wrong("sum", "unlike", 2, "Peer 0 waits in barrier and peer 1 waits in allreduce.")
def barrier_before_or_after(me, part):
    if me.rank == 0:
        me.barrier()
        return me.allreduce(part)
    total = me.allreduce(part)
    me.barrier()
    return total


# ---- shuffles


def words(rng, n_peers, size):
    """Words of few letters, so that they occur at several peers."""
    return [[str(word) for word in rng.choice(list("abcdefgh"), size)] for _ in range(n_peers)]


def word_counts(parts):
    return [dict(Counter(word for part in parts for word in part))] * len(parts)


def shuffled(me, mine, owner):
    """Send each word to its owner, count there, and tell all."""
    out = [[word for word in mine if owner(word) == to] for to in range(me.size)]
    own = Counter(word for box in me.alltoall(out) for word in box)
    return {word: n for part in me.allgather(dict(own)) for word, n in part.items()}


@right(word_counts, make=words)
def shuffle(me, mine):
    return shuffled(me, mine, lambda word: ord(word) % me.size)


@wrong(word_counts, "length", 2, "Peer 0 returns a dict without", make=words)
def shuffle_that_forgets_its_own_words(me, mine):
    out = [[word for word in mine if ord(word) % me.size == to] for to in range(me.size)]
    if me.size > 1:
        out[me.rank] = []
    own = Counter(word for box in me.alltoall(out) for word in box)
    return {word: n for part in me.allgather(dict(own)) for word, n in part.items()}


def with_a_lock():
    """A program from the world of threads: a lock cannot travel to another process."""
    lock = threading.Lock()

    def shuffle_with_a_lock(me, mine):
        with lock:
            own = Counter(mine)
        found = Counter()
        for part in me.allgather(dict(own)):
            found.update(part)
        return dict(found)
    return shuffle_with_a_lock


wrong(word_counts, "real", 3, "Works simulated, not for real: the run ends with "
      "ConfigurationError", "lock", make=words, real="cluster")(with_a_lock())


# ---- what a program leaves alone


SEEN = []


@wrong("gather", "shared", 3, "The peers share `SEEN` outside the program")
def gather_in_a_global_list(me, part):
    SEEN.append(part)
    me.barrier()
    return SEEN[-me.size:]


BOARD = np.zeros(100)


@wrong("reduce_scatter", "shared", 2, "The peers share `BOARD` outside the program",
       "With variables of their own it is right")
def scatter_on_one_board(me, part):
    mine = me.reduce_scatter(part)
    BOARD[:len(mine)] = mine
    me.barrier()
    return BOARD[:len(mine)].copy()


@wrong("sum", "timing", 2, "Wrong only when messages or peers are late: peer 1 returns")
def sum_that_is_in_a_hurry(me, part):
    """Tells the others how it went only if there was time."""
    if me.rank:
        me.send(0, part)
        total = me.recv(0)
        return total if me.now() < 0.01 else part
    total = part.copy()
    for source in range(1, me.size):
        total += me.recv(source)
    me.multicast(range(1, me.size), total)
    return total


@wrong("sum", "read-only", 1, "Peer 0 changes its part of the input.", "part += other")
def sum_in_the_input(me, part):
    for other in me.allgather(part):
        part += other
    return part


@wrong("sum", "raises IndexError", 2, "Peer 1 raises IndexError in step 1: list index out of range",
       "total = total + found[step + 1]")
def sum_of_one_too_many(me, part):
    found = me.allgather(part)
    total = found[0]
    for step in range(me.size if me.size > 1 else 0):
        me.step(step)
        total = total + found[step + 1]
    return total


@wrong("sum", "dtype", 1, "Peer 0 returns dtype float32, expected float64.", rtol=1e-3, atol=1e-3)
def sum_in_single_precision(me, part):
    total = np.zeros(len(part), dtype=np.float32)
    total += me.allreduce(part)
    return total


@wrong("sum", "formula", 2, "Peer 0's result is the maximum of all parts, not the sum.")
def sum_by_the_wrong_operation(me, part):
    return me.allreduce(part, op=np.maximum)


# ---- right, but dear


@right("sum", targets=Targets(messages=lambda n, b: 2 * (n - 1), rounds=2))
def sum_at_a_root(me, part):
    if me.rank:
        me.send(0, part)
        return me.recv(0)
    total = part.copy()
    for source in range(1, me.size):
        total += me.recv(source)
    me.multicast(range(1, me.size), total)
    return total


@wrong("sum", "cost messages", 3, "Right sum, but 6 messages where 4 suffice with 3 peers",
       targets=Targets(messages=lambda n, nbytes: 2 * (n - 1)))
def sum_by_all_to_all(me, part):
    total = part.copy()
    for other in range(me.size):
        if other != me.rank:
            me.send(other, part)
    for other in range(me.size):
        if other != me.rank:
            total += me.recv(other)
    return total


@wrong("sum", "cost peak_bytes", 2, "Right sum, but a peer holds about 4 "
       "times its part where 3 suffice with 2 peers.",
       targets=Targets(peak_bytes=lambda n, nbytes: 3 * nbytes))
def sum_that_keeps_all_parts(me, part):
    return np.sum(me.allgather(part), axis=0)


# ---- faults that are claimed to be survived


def grand_total(parts):
    return float(sum(part.sum() for part in parts))


@right(grand_total, faults=[FaultPlan(Crash(1, at_step=1))], elastic=True)
def descent_that_is_committed(me, part):
    state = me.restore(number=0, total=0.0)
    for number in range(int(state["number"]), 3):
        me.step(number)
        state = {"number": number + 1, "total": me.allreduce(float(part.sum()))}
        me.commit(**state)
    return state["total"]


KILL_1 = FaultPlan(Crash(1, at_step=2))


def own_of_peer_0(parts):
    return [len(parts)] + [None] * (len(parts) - 1)


@right(own_of_peer_0, faults=[KILL_1])
def roll_call(me, part):
    """Peer 0 counts the peers that were there at the start, dead or alive."""
    for step in range(4):
        me.step(step)
    if me.rank:
        return me.send(0, me.rank)
    for source in range(1, me.size):
        try:
            me.recv(source)
        except PeerLost:
            pass
    return me.size


@wrong(own_of_peer_0, "not survived", 2, "The fault is not survived: peer 1 was killed at step 0, "
       "and PeerLost was not caught by peer 0, step 3.", faults=[KILL_1])
def roll_call_of_the_living(me, part):
    for step in range(4):
        me.step(step)
    if me.rank:
        return me.send(0, me.rank)
    return 1 + len([me.recv(source) for source in range(1, me.size)])


@wrong(own_of_peer_0, "not survived", 3, "peer 1 was killed at step 0, and peer 2 waits in step 3 "
       "for peer 0, which has already returned", faults=[KILL_1])
def roll_call_that_forgets_the_others(me, part):
    for step in range(4):
        me.step(step)
    if me.rank:
        me.send(0, me.rank)
        me.recv(0)
        return None
    try:
        for source in range(1, me.size):
            me.recv(source)
        me.multicast(range(1, me.size), "all there")
    except PeerLost:
        pass
    return me.size


@wrong("sum", "endless loop", 2, "The program does not end: more than", "seconds of computing")
def loop_that_waits_for_nothing(me, part):
    while time.perf_counter() > 0:
        pass
    return part


def collective(algorithm):
    def program(me, part):
        return me.allreduce(part, algorithm=algorithm)
    program.__name__ = f"allreduce_{algorithm}"
    return program


for name in ALGORITHMS:
    right("sum")(collective(name))
