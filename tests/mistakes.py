"""Wrong answers to exercises, as learners give them, and what the exercise's own check says.

Each is tried in the run of its lesson by tests/test_student.py, and quoted in docs/teaching.md.
"""

from typing import NamedTuple


class Mistake(NamedTuple):
    """One wrong answer."""

    lesson: str
    test: str
    """The id of the test cell."""
    what: str
    """The mistake, in a few words."""
    code: str
    """What the learner writes instead of the solution."""
    says: str
    """The first line of the error."""


MISTAKES = [
    Mistake("00_start_here", "test-mean", "takes the mean of the means", """\
def mean(me, part):
    return me.allreduce(part.mean()) / me.size
""", "Peer 0 returns -0.3586, expected -0.558."),
    Mistake("00_start_here", "test-parcel", "lets every peer receive first", """\
def parcel(me):
    received = me.recv((me.rank - 1) % me.size)
    me.send((me.rank + 1) % me.size, received + [me.rank])
    return received
""", "The peers wait for each other."),
    Mistake("10_sharding", "test-block-cyclic", "deals out blocks and never begins again", """\
def block_cyclic(n_rows, n, block):
    return np.arange(n_rows) // block
""",
            "block_cyclic(10, 3, 2): expected [0, 0, 1, 1, 2, 2, 0, 0, 1, 1], got [0, 0, 1, 1, 2, "
            "2, 3, 3, 4, 4]"),
    Mistake("10_sharding", "test-reshard", "gives all keys to everyone", """\
def reshard(me, keys):
    every = np.concatenate(me.allgather(keys))
    return np.sort(every[every % me.size == me.rank])
""", "Right answer, but 144 bytes sent where 72 suffice with 3 peers."),
    Mistake("11_task_assignment", "test-longest", "takes the shortest task first", """\
def longest_first(costs, m):
    plan, load = [[] for _ in range(m)], np.zeros(m)
    for task in np.argsort(costs):
        worker = int(np.argmin(load))
        plan[worker].append(int(task))
        load[worker] += costs[task]
    return plan
""", "50 workers: expected at most 7.02 s, got 7.13"),
    Mistake("11_task_assignment", "test-farm", "never tells the workers to stop", """\
def farm(me, tasks):
    if me.rank:
        while (message := me.recv(0)) is not None:
            number, task = message
            me.send(0, (number, answer(me, task)))
        return None
    answers = np.zeros(len(tasks))
    for number, task in enumerate(tasks):
        me.send(1 + number % (me.size - 1), (number, task))
    for _ in tasks:
        worker, (number, found) = me.recv_any()
        answers[number] = found
    return answers
""", "Peer 1 waits for peer 0, which has already returned."),
    Mistake("12_network_latency", "test-half", "counts the latency there and back", """\
def half_size(network):
    return 2 * network.latency_s * network.bandwidth_Bps
""", "1GbE: expected 6,250 bytes, got 12500.0"),
    Mistake("12_network_latency", "test-owners", "sends each key in a message of its own", """\
def to_owners(me, keys):
    mine = [key for key in keys if key % me.size == me.rank]
    for other in range(me.size):
        if other != me.rank:
            theirs = [key for key in keys if key % me.size == other]
            me.send(other, len(theirs))
            for key in theirs:
                me.send(other, key)
    for other in range(me.size):
        if other != me.rank:
            mine += [me.recv(other) for _ in range(me.recv(other))]
    return np.sort(np.array(mine, dtype=keys.dtype))
""", "Right answer, but 11 messages where 2 suffice with 2 peers."),
    Mistake("13_speedup", "test-inverse", "forgets that the serial part does not shrink", """\
def workers_for(speedup, serial):
    return int(np.ceil(speedup / (1 - serial)))
""", "10 times at 5%: expected 19, got 11"),
    Mistake("13_speedup", "test-totals", "hands the total on from peer to peer", """\
def totals(me, part):
    before = me.recv(me.rank - 1) if me.rank else 0.0
    if me.rank + 1 < me.size:
        me.send(me.rank + 1, before + part.sum())
    return before + np.cumsum(part)
""", "Right answer, but 3 rounds of messages where 2 suffice with 4 peers."),
    Mistake("20_master_worker", "test-farm", "deals the tasks out in turn", """\
def eager_farm(me, tasks):
    answers, n = [None] * len(tasks), me.size - 1
    for number, task in enumerate(tasks):
        me.send(1 + number % n, task)
    for number in range(len(tasks)):
        answers[number] = me.recv(1 + number % n)
    me.multicast(range(1, me.size), None)
    return answers
""", "Right answer, but 0.18 virtual seconds where 0.137 suffice with 6 peers."),
    Mistake("20_master_worker", "test-farm", "takes answers in the order of arrival", """\
def eager_farm(me, tasks):
    waiting, working, answers = list(tasks), 0, []
    for worker in range(1, me.size):
        working += bool(waiting)
        me.send(worker, waiting.pop(0) if waiting else None)
    while working:
        worker, found = me.recv_any()
        answers.append(found)
        working -= not waiting
        me.send(worker, waiting.pop(0) if waiting else None)
    return answers
""", "Peer 0 returns 1.147, expected 0.005041, in entry 0, and 3 of 3 entries wrong."),
    Mistake("21_peer_to_peer", "test-gather", "sends its own part in every step", """\
def gather(me, part):
    parts = [None] * me.size
    parts[me.rank] = part
    right, left = neighbours(me)
    for step in range(me.size - 1):
        me.send(right, part)
        parts[(me.rank - step - 1) % me.size] = me.recv(left)
    return parts
""",
            "With more than 2 peers: peer 2's value is where peer 1's belongs, in entries 3 to 5 "
            "of peer 0's result."),
    Mistake("21_peer_to_peer", "test-scatter", "ends with the piece of its neighbour", """\
def scattered(me, part):
    pieces = np.array_split(part.copy(), me.size)
    right, left = neighbours(me)
    for step in range(me.size - 1):
        me.send(right, pieces[(me.rank - step) % me.size])
        pieces[(me.rank - step - 1) % me.size] += me.recv(left)
    return pieces[(me.rank + 1) % me.size]
""", "Peer 0 returns 2.525, expected 1.272, in entry 0."),
    Mistake("22_gossip", "test-metropolis", "divides by its own number of neighbours only", """\
def metropolis(neighbours):
    W = np.zeros((len(neighbours), len(neighbours)))
    for i, others in enumerate(neighbours):
        W[i, [i, *others]] = 1 / (1 + len(others))
    return W
""", "columns should add up to 1, got [3.625 0.625 0.625 0.625 0.625 0.625 0.625 0.625]"),
    Mistake("22_gossip", "test-tell", "lets peer 0 tell everyone", """\
def tell(me, news):
    if me.rank:
        return me.recv(0)
    for other in range(1, me.size):
        me.send(other, news)
    return news
""", "one peer sends 63 messages, expected at most 6"),
    Mistake("23_map_reduce", "test-mean", "combines means instead of sums", """\
def mean_mapper(item):
    for key, number in item:
        yield key, (number, 1)

def mean_combiner(key, values):
    return np.mean([number for number, _ in values]), 1

def mean_final(key, values):
    total, count = map(sum, zip(*values))
    return float(total / count)
""", "expected a: 4, b: 5, got {'a': 5.25, 'b': 5.0}"),
    Mistake("23_map_reduce", "test-top", "knows only the counts of peer 0", """\
def top_three(me, keys):
    mine = np.bincount(keys, minlength=20)
    return me.broadcast(np.lexsort((np.arange(20), -mine))[:3])
""", "Peer 0 returns 2, expected 0, in entry 1, and 2 of 3 entries wrong."),
    Mistake("24_one_problem_three_models", "test-tree", "never tells the others to stop", """\
def tree_master(me, X, y):
    def evaluate(w):
        me.broadcast(w)
        return objective(me.reduce(my_answer(me, X, y, w)), w)
    if me.rank == 0:
        return minimize(evaluate, start).w
    while (w := me.broadcast()) is not None:
        me.reduce(my_answer(me, X, y, w))
""", "peer 1 waits in broadcast, but peer 0 has returned without it."),
    Mistake("24_one_problem_three_models", "test-short", "rounds after the all-reduce", """\
def short_answers(me, X, y):
    def evaluate(w):
        total = me.allreduce(my_answer(me, X, y, w)).astype(np.float32)
        return objective(total.astype(float), w)
    return minimize(evaluate, start).w
""", "799,488 bytes, expected about half of peer to peer's"),
    Mistake("30_detecting_failures", "test-phi", "counts the silence from the first heartbeat", """\
def phi_of(arrivals_s, now_s):
    intervals_s = np.diff(arrivals_s)
    return my_phi(now_s - arrivals_s[0], intervals_s.mean(), max(intervals_s.std(), 0.01))
""", "expected 1.1043, got 22.67"),
    Mistake("30_detecting_failures", "test-ring", "suspects the neighbour on the wrong side", """\
def ring_watch(me, limit_s):
    due_s, heard_s, suspects = me.now(), me.now(), []
    while me.now() < 6.0:
        if me.now() >= due_s:
            me.send((me.rank + 1) % me.size, "alive")
            due_s += 0.25
        if me.recv_any(timeout_s=0.05) is not None:
            heard_s = me.now()
        elif me.now() - heard_s >= limit_s and not suspects:
            suspects.append((me.now(), (me.rank + 1) % me.size))
    return suspects
""", "expected 2 soon, got [(3.05"),
    Mistake("31_recovering", "test-resume", "commits the total and forgets the step", """\
def faded_sum(me, part):
    total = me.restore(total=0.0)["total"]
    for step in range(6):
        me.step(step)
        total = total / 2 + me.allreduce(part.sum())
        me.commit(total=total)
    return total
""",
            "The fault is not survived: peer 1 was killed at step 1, and peer 0 returns 7.534, "
            "expected 7.475."),
    Mistake("31_recovering", "test-atomic", "writes over the file that is there", """\
def save(path, write):
    with open(path, "wb") as file:
        write(file)
""", "the former checkpoint is gone already"),
    Mistake("32_stragglers_and_prevention", "test-patience", "copies what is slower than most", """\
def patience(finished_s, n_items):
    return np.median(finished_s) if len(finished_s) else np.inf
""", "29% of the tasks are tried twice, at most 10% may be"),
    Mistake("32_stragglers_and_prevention", "test-copies", "adds up both copies", """\
def first_copies(me, part):
    if me.rank:
        return me.send(0, part)
    return part + sum(me.recv(other) for other in range(1, me.size))
""", "Peer 0's result is the sum of all parts, not the answer."),
    Mistake("33_monitoring", "test-cause-1", "blames the one who waits", """\
cause_1 = ("Delay", (2, 3))
""", "('Delay', (2, 3)) is not the cause: wrong kind, or wrong place"),
    Mistake("33_monitoring", "test-slowest", "lets everyone tell everyone", """\
def slowest(me, seconds):
    every = me.allgather(np.array([seconds[0], me.rank]))
    return max(every, key=lambda pair: pair[0])
""", "Right answer, but 6 messages where 4 suffice with 3 peers."),
]
