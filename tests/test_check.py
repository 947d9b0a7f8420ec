"""`labkit.check`: twenty and more wrong programs, each with its own diagnosis; right ones pass."""

import ast
import inspect
import tracemalloc
from functools import partial

import fault_jobs
import numpy as np
import pytest
import wrong_programs
from wrong_programs import RIGHT, WRONG

import labkit
from labkit.checking import Case, Targets, WrongProgram, watched
from labkit.checking.compare import difference, same
from labkit.checking.costs import rounds
from labkit.checking.exercise import Exercise
from labkit.checking.memory import peak_bytes
from labkit.checking.patterns import rule
from labkit.checking.tags import UNIT, base_for, digits
from labkit.checking.tasks import task_of
from labkit.errors import ConfigurationError
from labkit.faults import Crash, FaultPlan, Slow
from labkit.models import master_worker, peer_to_peer
from labkit.models.peer_to_peer import gossip
from labkit.topology import graph

SIMULATED = sorted(name for name in WRONG if "real" not in WRONG[name].how)
MUTATED = ("ring", "gather_around", "tree", "server_that_knows_ranks", "sum_at_a_root",
           "doubling", "running_sums")


def checked(name, **how):
    wrong = WRONG[name]
    return labkit.check(wrong.program, wrong.answer, **{"real": False, **wrong.how, **how})


# ---- wrong programs


@pytest.mark.parametrize("name", SIMULATED)
def test_a_wrong_program_gets_its_own_diagnosis(name):
    wrong, report = WRONG[name], checked(name)
    assert not report.ok
    assert report.kind == wrong.kind, report
    assert report.case.n_peers == wrong.n_peers, report
    for words in wrong.says:
        assert words in f"{report.diagnosis} {report.detail}", report
    assert report.hint


def test_what_works_only_in_one_process_fails_for_real(cluster):
    wrong = WRONG["shuffle_with_a_lock"]
    report = labkit.check(wrong.program, wrong.answer, **{**wrong.how, "real": cluster})
    assert (report.kind, report.case.real, report.case.n_peers) == ("real", True, 3)
    assert all(words in report.diagnosis for words in wrong.says), report


def test_there_are_more_than_twenty_kinds_of_programs_and_most_kinds_of_mistakes():
    assert len(WRONG) >= 20
    assert len({wrong.kind for wrong in WRONG.values()}) >= 20


@pytest.mark.parametrize("name", ["ring_that_sends_the_sum_so_far", "server_whose_rounds_mix",
                                  "gather_that_counts_the_wrong_way_round",
                                  "sum_by_all_to_all", "ring_that_sends_the_wrong_way",
                                  "roll_call_that_forgets_the_others"])
@pytest.mark.parametrize("seed", [1, 2])
def test_another_seed_finds_the_same_kind_of_mistake(name, seed):
    assert checked(name, seed=seed).kind == WRONG[name].kind


@pytest.mark.parametrize("name", sorted(set(SIMULATED) - {"loop_that_waits_for_nothing"}))
def test_the_same_seed_gives_the_same_report_to_the_letter(name):
    wrong_programs.SEEN.clear()
    wrong_programs.BOARD[:] = 0
    first = repr(checked(name))
    wrong_programs.SEEN.clear()
    wrong_programs.BOARD[:] = 0
    assert repr(checked(name)) == first


def test_a_report_reads_well():
    assert repr(checked("ring_that_stops_too_early")) == "\n".join([
        "Not right yet. Peer 0 never received the finished part 0 (entry 0): it holds only the "
        "values of peer 0 there.",
        "  case: 2 peers, size 2, seed 0",
        "  hint: Does the second round pass on every part?"])


def test_the_case_can_be_run_again():
    report = checked("server_that_trusts_the_order_of_arrival")
    wrong = WRONG["server_that_trusts_the_order_of_arrival"]
    again = report.case.world().run(wrong.program, *report.inputs, faults=report.case.plan)
    for got, before in zip(again.results, report.run.results):
        np.testing.assert_array_equal(np.stack(got), np.stack(before))


def test_a_deadlock_is_drawn_up_to_where_it_stands():
    report = checked("ring_that_sends_the_wrong_way")
    waits = [event for event in report.run.events if event.kind == "recv"]
    assert {event.rank for event in waits} == {0, 1, 2}
    assert all(event.end_s == report.run.seconds for event in waits), "they wait to the end"
    ax = report.timeline()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["peer 0", "peer 1", "peer 2"]


def test_a_report_is_shown_with_its_diagnosis_in_words(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: shown.append(data))
    report = checked("ring_that_sends_the_wrong_way")
    report.show()
    assert shown[0]["text/plain"] == (
        f"Timeline of a run with 3 peers, size 3, seed 0. {report.diagnosis}")


def test_a_hidden_test_raises_the_diagnosis():
    report = checked("ring_in_which_all_receive_first")
    with pytest.raises(WrongProgram, match="Peers 0 and 1 wait for each other in step 0"):
        report.raise_if_wrong()
    with pytest.raises(AssertionError):
        report.raise_if_wrong()


# ---- right programs


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", sorted(RIGHT))
def test_nothing_is_said_of_a_right_program(name, seed):
    program, answer, how = RIGHT[name]
    report = labkit.check(program, answer, real=False, seed=seed, **how)
    assert report.ok, report
    report.raise_if_wrong()
    assert repr(report).startswith(f"Right in {report.cases} cases: 1 to 9 peers, sizes 0 to 12")


@pytest.mark.parametrize("name", ["ring", "gather_around", "farm_of_squares", "shuffle",
                                  "exchange", "descent_that_is_committed", "sum_at_a_root"])
def test_right_programs_are_right_for_real(name, cluster):
    program, answer, how = RIGHT[name]
    report = labkit.check(program, answer, real=cluster, peers=(2, 3), **how)
    assert report.ok, report
    assert "for real with 3 workers" in repr(report)


def trained(me, x, y, train):
    return fault_jobs.training(me, x, y, train)


def mixed(me, part):
    return gossip.pairwise(me, part, graph("complete", me.size), 40).value


@pytest.mark.parametrize("train", [peer_to_peer.train, master_worker.train])
def test_nothing_is_said_of_the_models(train):
    def make(rng, n, size):
        return np.array_split(fault_jobs.X, n), np.array_split(fault_jobs.Y, n)

    report = labkit.check(partial(trained, train=train), lambda x, y: fault_jobs.descent(), make,
                          sizes=(1,), real=False)
    assert report.ok, report


def test_nothing_is_said_of_gossip_among_those_who_are_late():
    report = labkit.check(mixed, "mean", real=False, peers=(1, 2, 5), rtol=0.01, atol=0.1)
    assert report.ok, report


def test_a_cluster_is_started_if_none_is_given():
    assert labkit.check(wrong_programs.tree, "broadcast", peers=2, sizes=(4,)).ok


def test_costs_are_shown_for_each_number_of_peers():
    report = labkit.check(wrong_programs.ring, "sum", real=False, peers=(2, 5))
    assert [(c.n_peers, c.messages, c.nbytes, c.rounds) for c in report.costs] == [
        (2, 4, 192, 2), (5, 40, 768, 8)]


def test_the_module_is_called_as_well_after_its_package_is_imported():
    import labkit.checking

    assert callable(labkit.check)
    assert labkit.check is labkit.checking.check


# ---- mutants: no wrong answer passes


OTHER = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Eq: ast.NotEq,
         ast.Mult: ast.Add, ast.Div: ast.Mult}


def tree_of(program):
    tree = ast.parse(inspect.getsource(program))
    tree.body[0].decorator_list = []
    return tree


def changes(tree):
    """Yield a function for each change of one thing, which makes it in the tree."""
    for node in ast.walk(tree.body[0]):
        if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OTHER:
            yield lambda node=node: setattr(node, "op", OTHER[type(node.op)]())
        if isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
            yield lambda node=node: node.ops.__setitem__(0, OTHER[type(node.ops[0])]())
        if isinstance(node, ast.Constant) and type(node.value) is int:
            yield lambda node=node: setattr(node, "value", node.value + 1)
            yield lambda node=node: setattr(node, "value", node.value - 1)
        body = getattr(node, "body", None)
        for place in range(len(body) if isinstance(body, list) else 0):
            yield lambda body=body, place=place: body.__setitem__(place, ast.Pass())
            if place:
                yield lambda body=body, place=place: body.__setitem__(
                    slice(place - 1, place + 1), [body[place], body[place - 1]])


def mutants(program):
    """Return copies of a program, each with one thing changed."""
    found = []
    for number in range(sum(1 for _ in changes(tree_of(program)))):
        tree = tree_of(program)
        list(changes(tree))[number]()
        names = vars(wrong_programs).copy()
        exec(compile(ast.fix_missing_locations(tree), "<mutant>", "exec"), names)
        found.append((ast.unparse(tree), names[program.__name__]))
    return found


def is_right(program, answer):
    """Whether a program is right in the serial world, for other sizes and values."""
    rng = np.random.default_rng(99)
    for n in range(1, 10):
        for size in (5, 10):
            parts = [rng.standard_normal(size) for _ in range(n)]
            want = task_of(answer).answer(parts)
            want = want if isinstance(want, list) else [want] * n
            run = labkit.serial(workers=n).run(program, parts)
            if any(difference(got, right) for got, right in zip(run.results, want)):
                return False
    return True


@pytest.mark.parametrize("name", MUTATED)
def test_no_mutant_with_a_wrong_answer_passes(name, monkeypatch):
    monkeypatch.setattr(watched, "CPU_LIMIT_S", 0.3)
    program, answer, _ = RIGHT[name]
    all_of_them, passed = mutants(program), []
    for source, mutant in all_of_them:
        report = labkit.check(mutant, answer, real=False, limit=2000)
        if report.ok:
            passed.append(source)
            assert is_right(mutant, answer), source
    assert len(all_of_them) > 15
    assert len(passed) < len(all_of_them) / 3, "most changes do harm"


# ---- what it is made of


def test_digits_tell_who_is_in_a_sum():
    base = base_for(3)
    sums = UNIT * np.array([1 + base + base**2, 1 + 2 * base, 1 - base], dtype=float)
    np.testing.assert_array_equal(digits(sums, 3), [[1, 1, 1], [1, 2, 0], [1, -1, 0]])
    np.testing.assert_array_equal(digits(sums[:1] / 3, 3, scale=3), [[1, 1, 1]])
    assert digits(np.array([0.5]), 3) is None
    assert digits(sums + 1, 3) is None, "a constant is no peer's value"
    assert digits(np.array([np.nan]), 3) is None


@pytest.mark.parametrize("n", range(1, 10))
def test_tags_of_all_peers_are_exact(n):
    sums = UNIT * np.array([sum(3 * base_for(n) ** rank for rank in range(n))], dtype=float)
    assert digits(sums, n).tolist() == [[3] * n]
    assert digits(sums / n, n, scale=n).tolist() == [[3] * n]
    assert digits(sums + 1, n) is None


def test_rounds_are_the_longest_chain():
    def send(rank, to):
        return ("send", rank, 0.0, 0.0, to, 8, -1, "")

    def recv(rank, source):
        return ("recv", rank, 0.0, 0.0, source, 8, -1, "")

    star = [send(0, 1), send(0, 2), recv(1, 0), recv(2, 0)]
    assert rounds(star) == 1
    chain = [send(0, 1), send(1, 2), recv(1, 0), send(1, 2), recv(2, 1), recv(2, 1), send(2, 0)]
    assert rounds(chain) == 3, "the first message of peer 1 waits for nothing"


@pytest.mark.parametrize(("program", "wants"), [
    (lambda me, part: part.copy(), [1, 1, 1]),
    (lambda me, part: np.ones(4 * len(part)).sum(), [4, 4, 4]),
    (lambda me, part: [part + 1, part + 2], [2, 2, 2]),
    (lambda me, part: me.send(1, part) if me.rank == 0 else None, [0, 0, 0]),
    (lambda me, part: me.multicast([1, 2], part) if me.rank == 0 else me.recv(0), [0, 1, 1]),
    (lambda me, part: me.allgather(part), [2, 2, 2]),
    (lambda me, part: [len(np.ones(2 * len(part))), me.barrier(), part.copy()][2], [2, 2, 2]),
    (lambda me, part: me.allreduce(part, algorithm="ring"), [4 / 3, 4 / 3, 4 / 3]),
])
def test_peak_memory_is_that_of_programs_whose_peak_is_known(program, wants):
    """In parts of 8 MB; what is under way is nobody's."""
    exercise = Exercise(program, task_of("sum"), None)
    peaks = peak_bytes(exercise, 3, 1_000_000)
    assert np.array(peaks) / 8_000_000 == pytest.approx(wants, abs=0.05)
    assert not tracemalloc.is_tracing()


def test_a_message_that_is_dropped_is_no_longer_held():
    def program(me, part):
        for _ in range(5):
            if me.rank == 0:
                me.send(1, part)
            elif me.rank == 1:
                me.recv(0)

    peaks = peak_bytes(Exercise(program, task_of("sum"), None), 2, 1_000_000)
    assert np.array(peaks) / 8_000_000 == pytest.approx([0, 1], abs=0.05)


def test_a_rule_is_said_only_if_it_fits_all_cases():
    cases = [(n, size) for n in range(1, 7) for size in (12, 7, 1, 0)]
    assert rule({(n, s): "shape" * (s % n > 0) for n, s in cases}, "shape") == \
        "When the size is not divisible by the number of peers"
    assert rule({(n, s): "value" * (n & (n - 1) > 0) for n, s in cases}, "value") == \
        "When the number of peers is no power of two"
    assert rule({(n, s): "value" * (n == 1) for n, s in cases}, "value") == "With 1 peer"
    assert rule({(n, s): "value" * (n in (2, 5)) for n, s in cases}, "value") == ""
    assert rule(dict.fromkeys(cases, ""), "value") == ""
    assert rule(dict.fromkeys(cases, "value"), "value") == ""


@pytest.mark.parametrize(("got", "want", "text"), [
    (None, 1.0, "None"), (1.0, 1.0, None), (1, 1.0, None), ([1.0, 2.0], np.array([1.0, 2.0]), None),
    (np.zeros(3), np.zeros(4), "shape (3,), expected (4,)"),
    (np.array([1.0, 5.0]), np.array([1.0, 2.0]), "5, expected 2, in entry 1"),
    ("a", np.zeros(2), "a str, expected an array of shape (2,)"),
    ([np.zeros(2), None], [np.zeros(2), np.zeros(2)], "a list whose entry 1 is None"),
    ({"a": 1}, {"a": 1, "b": 2}, "a dict without 'b'"),
    (np.zeros(2, int), np.zeros(2), "dtype int64, expected float64"),
    (np.array([np.nan]), np.array([np.nan]), None),
    (np.zeros(2), "done", "array([0., 0.]), expected 'done'"), ("done", "done", None)])
def test_differences_in_words(got, want, text):
    found = difference(got, want)
    assert (found and found.text) == text


def test_same_is_to_the_last_bit():
    assert same([np.array([1.0, np.nan]), {"a": 1}], [np.array([1.0, np.nan]), {"a": 1}])
    assert not same(1.0, 1.0 + 1e-15)


def test_cases_are_shrunk_to_the_first_step_at_which_a_fault_does_harm():
    def program(me, part):
        for step in range(6):
            me.step(step)
            if me.size > 1 and step >= 2:
                me.barrier()
        return me.allreduce(part)

    report = labkit.check(program, "sum", real=False, faults=[FaultPlan(Crash(1, at_step=5),
                                                                        Slow(0, 2.0))])
    assert report.kind == "not survived"
    assert (report.case.n_peers, len(report.case.plan)) == (2, 1)
    assert report.case.plan.faults[0].at_step == 0


def test_a_fault_that_never_strikes_is_not_survived():
    def program(me, part):
        return me.allreduce(part)

    report = labkit.check(program, "sum", real=False, faults=[FaultPlan(Crash(1, at_step=2))])
    assert report.kind == "not struck"
    assert report.diagnosis == ("Crash(worker=1, at_step=2) never struck: the program does not "
                                "get so far.")
    with pytest.raises(ConfigurationError, match="aimed at nobody"):
        labkit.check(program, "sum", real=False, peers=2, faults=[FaultPlan(Crash(5))])


def test_programs_with_several_arguments_and_answers_of_ones_own():
    def make(rng, n, size):
        return [rng.random(size) for _ in range(n)], [rng.random(size) for _ in range(n)]

    def program(me, x, y):
        return me.allreduce(float(x @ y))

    def answer(xs, ys):
        return float(np.concatenate(xs) @ np.concatenate(ys))

    assert labkit.check(program, answer, make, real=False).ok
    report = labkit.check(lambda me, x, y: float(x @ y), answer, make, real=False)
    assert report.diagnosis.startswith("Peer 0 returns ")
    assert report.case.n_peers == 2


def test_a_target_may_depend_on_peers_and_bytes():
    def bytes_of_a_ring(n, nbytes):
        return 2 * (n - 1) * nbytes

    targets = Targets(nbytes=bytes_of_a_ring, rounds=lambda n, nbytes: 2 * (n - 1))
    assert labkit.check(wrong_programs.ring, "sum", real=False, targets=targets).ok
    report = labkit.check(wrong_programs.sum_by_all_to_all, "sum", real=False, targets=targets)
    assert report.diagnosis == ("Right sum, but 144 bytes sent where 96 suffice with 3 peers.")


@pytest.mark.parametrize(("how", "words"), [
    ({"answer": "total"}, "exercise is not known"), ({"program": 3}, "no program"),
    ({"peers": ()}, "nothing to try"), ({"sizes": ()}, "nothing to try"),
    ({"peers": (0, 1)}, "nothing to try"),
    ({"make": lambda rng, n, size: [1.0]}, "has to give each peer its part"),
    ({"answer": lambda parts: parts[99]}, "serial answer could not be computed")])
def test_arguments_that_cannot_work(how, words):
    how = {"program": wrong_programs.ring, "answer": "sum", "real": False, **how}
    with pytest.raises(ConfigurationError, match=words):
        labkit.check(**how)


def test_a_world_of_another_size_is_refused():
    with pytest.raises(ConfigurationError, match="another number of peers"):
        labkit.check(wrong_programs.ring, "sum", peers=2, real=labkit.simulated(workers=3))


def test_a_program_that_fails_by_chance_is_reported_all_the_same():
    rng = np.random.default_rng(5)
    first = iter([True])

    def once(me, part):
        return me.allreduce(part) + next(first, False)

    def often(me, part):
        return me.allreduce(part) + (rng.random() < 0.1)

    assert not labkit.check(once, "sum", real=False).ok
    assert labkit.check(often, "sum", real=False).kind in ("shared", "chance", "value", "formula")


def test_who_writes_to_another_array_that_is_read_only_is_not_told_of_his_input():
    def program(me, part):
        zeros = np.broadcast_to(0.0, part.shape)
        zeros += part
        return zeros

    report = labkit.check(program, "sum", real=False)
    assert report.kind == "raises ValueError"
    assert report.diagnosis == "Peer 0 changes an array that is read-only."


@pytest.mark.parametrize("rare", [8, 20])
def test_a_value_that_is_rarely_wrong_is_not_put_down_to_lateness(rare):
    def program(me, part):
        total = me.allreduce(part)
        return total + (me.size > 1 and len(part) and int(abs(total[0]) * 1000) % 97 == rare)

    report = labkit.check(program, "sum", real=False)
    assert (report.kind, report.case.calm) == ("value", True)
    assert report.case.seed > 0, "all that was tried first is right"
    assert report.diagnosis.startswith("Peer 0 returns ")


def test_nothing_is_said_to_be_never_sent_that_may_have_been_sent_in_disguise():
    def program(me, part):
        if me.rank:
            me.send(0, (part + 1).tobytes())
            return me.recv(0)
        for source in range(1, me.size):
            me.recv(source)              # and forgotten
        me.multicast(range(1, me.size), part)
        return part

    report = labkit.check(program, "sum", real=False)
    assert report.diagnosis == "Peer 1's value is missing in peer 0's result."
    assert report.detail == ""


def test_an_answer_that_is_defined_nowhere():
    with pytest.raises(ConfigurationError, match="defined in none"):
        labkit.check(wrong_programs.ring, lambda parts: 1 / len(parts[0]), sizes=(0,))


def test_a_program_that_only_naps_does_not_end():
    def program(me, part):
        while me.size > 1 and me.recv_any(timeout_s=1.0) is None:
            pass
        return me.allreduce(part)

    assert labkit.check(program, "sum", real=False, limit=500).diagnosis == (
        "The program does not end: more than 500 waits with a timeout.")


def test_only_the_case_that_is_reported_is_heard(capsys, recwarn):
    def program(me, part):
        print("peer", me.rank, "of", me.size)
        part.mean()                      # of nothing, in some cases
        return me.allreduce(part) + (me.size > 2)

    report = labkit.check(program, "sum", real=False)
    assert report.printed.splitlines() == [f"peer {rank} of 3" for rank in range(3)]
    assert capsys.readouterr().out == ""
    assert not recwarn.list


def test_an_answer_that_refuses_tags_is_no_obstacle():
    def solved(parts):
        total = np.sum(parts, axis=0)
        if len(total) > 1 and np.all(total == total[0]):
            raise ValueError("all the same")
        return total - total.mean() if len(total) else total

    assert labkit.check(lambda me, part: part, solved, real=False).kind == "value"


def test_input_may_be_changed_where_that_is_allowed():
    def program(me, part):
        return me.allreduce(part, out=part)

    assert labkit.check(program, "sum", real=False, may_change=True).ok
    assert labkit.check(program, "sum", real=False).kind != ""


def test_a_case_reads_as_what_it_is():
    assert str(Case(3, 7, 1, 0.05, FaultPlan(Crash(1, at_step=2)))) == (
        "3 peers, size 7, seed 1, messages late by 50 ms in the mean, at random, "
        "Crash(worker=1, at_step=2)")
