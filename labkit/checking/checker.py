"""`labkit.check`: a program is tried in many cases, and the first that goes wrong is explained.

    calm         1 to 9 peers, several sizes          find    what is wrong
    twice        is it the same each time, alone?     shrink  the smallest case
    disturbed    messages late, peers slow            explain whose value, in which message
    struck       faults that it claims to survive
    costs        messages, bytes, rounds, memory
    for real     once, in worker processes

Source of shrinking: Claessen and Hughes, "QuickCheck: a lightweight tool for random testing of
Haskell programs", ICFP 2000.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from labkit.checking import words
from labkit.checking.costs import Targets, cost_of, measured_peak, too_much
from labkit.checking.exercise import Case, Exercise
from labkit.checking.explain import explained
from labkit.checking.findings import find
from labkit.checking.patterns import rule
from labkit.checking.races import disturbed_cases, not_struck, not_survived, race, struck_cases
from labkit.checking.real import attempt_for_real, world_for
from labkit.checking.report import Report
from labkit.checking.shrink import easiest, shrunk
from labkit.checking.steady import unsteady
from labkit.checking.tasks import task_of
from labkit.checking.trial import attempt
from labkit.errors import ConfigurationError
from labkit.progress import progress

SIZES = (12, 7, 3, 1, 0)
USUAL = 3                    # peers of the cases that are run more than once
BUDGET = 60_000              # messages, after which each number of peers is tried less often


def check(program, answer, make=None, *, peers=range(1, 10), sizes=SIZES, seed=0, targets=None,
          faults=(), elastic=False, real=True, may_change=False, unread=False, rtol=1e-9,
          atol=1e-9, limit=20_000):
    """Find out whether a program is right, and if not, what is wrong with it.

    Parameters
    ----------
    program : callable
        ``program(me, part, ...)``, as for `World.run`.
    answer : callable or str
        ``answer(parts)``: the serial answer from the list of all parts (one list for each
        argument of the program). One value for all peers, or a list with one entry a peer, in
        which None is not compared. Or the name of a common exercise: see `labkit.checking.tasks`.
    make : callable, optional
        ``make(rng, n_peers, size)`` returns a list with one part a peer, or a tuple of such
        lists. By default a vector of `size` random float64 a peer, or what the exercise needs.
    peers : int or iterable of int
        Numbers of peers to try.
    sizes : iterable of int
        Sizes to try. 0 is left out where `answer` cannot do it.
    seed : int
        Of inputs, jitter and disturbances: the same seed gives the same report.
    targets : Targets, optional
        What it may cost.
    faults : iterable of FaultPlan
        What the program claims to survive. Plans apply to worlds that have all their ranks.
        Who is lost need not return anything.
    elastic : bool or int
        As for `World.run`, under these faults.
    real : bool or World
        Whether it is run once for real, if all else is well: in a small cluster that is started
        for that, or in the given world.
    may_change : bool
        Whether it may change its input. If not, arrays are read-only, as those of `world.shard`.
    unread : bool
        Whether messages may be left that nobody takes.
    rtol, atol : float
        Tolerances as in `numpy.allclose`.
    limit : int
        Messages after which a run counts as endless.

    Returns
    -------
    Report
    """
    peers = [peers] if isinstance(peers, int) else list(peers)
    sizes = list(sizes)
    if not callable(program):
        raise ConfigurationError("This is no program.", expected="a function of me and a part",
                                 got=repr(program), where="check(program, ...)")
    if not peers or min(peers) < 1 or not sizes or min(sizes) < 0:
        raise ConfigurationError("There is nothing to try.", where="peers=, sizes=",
                                 expected="one number of peers, 1 or more, and one size, or more",
                                 got=f"{peers}, {sizes}")
    exercise = Exercise(program, task_of(answer), make, rtol, atol, elastic, may_change, unread,
                        limit)
    with progress(None, "checking, cases") as done:
        checker = Checker(exercise, peers, sizes, seed, targets or Targets(), done)
        return checker.check(list(faults), real)


class Checker:
    """The state of one check."""

    def __init__(self, exercise, peers, sizes, seed, targets, done=lambda: None):
        self.exercise = exercise
        self.peers, self.sizes, self.seed = peers, sizes, seed
        self.targets = targets
        self.cases = 0
        self._done = done                # called after each case
        self.kinds = {}                  # (peers, size) -> what is wrong there if calm, or ""
        self.costs = []
        self.scope = []
        self._messages = 0

    @property
    def _dear(self):
        """Whether so much has been sent that a learner would begin to wait."""
        return self._messages > BUDGET

    def check(self, plans, real):
        """Try everything in turn; return the Report."""
        report = (self._calm() or self._steady() or self._disturbed() or self._struck(plans)
                  or self._cheap() or self._for_real(real))
        if report is not None:
            return report
        _, trial = self._try(self._usual())
        scope = [f"{words.counted(self.cases, 'case')}: {words.span('peer', self.peers)}, "
                 f"{words.span('size', self.sizes)}, messages in any order", *self.scope]
        return Report(True, case=trial.case, inputs=trial.inputs.lists, run=trial.run,
                      printed=trial.printed, costs=self._shown_costs(), cases=self.cases,
                      scope=", ".join(scope))

    def _try(self, case):
        """Run a case; return (Finding or None, Trial), or None if it has no answer."""
        if self.exercise.inputs(case) is None:
            return None
        self.cases += 1
        trial = attempt(self.exercise, case)
        self._messages += trial.run.messages
        self._done()
        return find(self.exercise, trial), trial

    def _usual(self):
        n = min(self.peers, key=lambda n: (abs(n - USUAL), n))
        return Case(n, max(self.sizes), self.seed)

    # ---- what is tried

    def _calm(self):
        """Try all peers and sizes with nothing to disturb them; one peer is tried last."""
        first = None
        for n in sorted(self.peers, key=lambda n: (n == 1, n)):
            for size in self.sizes[:1] if self._dear else self.sizes:
                case = Case(n, size, self.seed)
                tried = self._try(case)
                if tried is None:
                    continue
                found, trial = tried
                self.kinds[n, size] = found.kind if found else ""
                if found is None:
                    self.costs.append(cost_of(trial))
                elif first is None:
                    first = case, tried
                if found is not None and found.kind == "endless loop":
                    return self._report(found, trial)    # it takes seconds each time
        if not self.kinds:
            raise ConfigurationError("The answer is defined in none of the cases.",
                                     expected="an answer for some size", where="sizes=",
                                     got=words.span("size", self.sizes))
        return self._explained(*first) if first else None

    def _explained(self, case, tried):
        """Shrink a calm case that is wrong, and explain it."""
        case, (found, trial) = self._shrunk(case, tried)
        by_chance = unsteady(self.exercise, case)
        if by_chance is not None:
            return self._report(by_chance, trial)
        when = rule(self.kinds, found.kind)
        found = explained(self.exercise, case, found, self.sizes)
        if when:
            found = found._replace(sentence=f"{when}: {words.small(found.sentence)}")
        return self._report(found, trial)

    def _shrunk(self, case, tried):
        """Return the smallest case with this kind of mistake, and (Finding, Trial)."""
        def still(smaller):
            again = self._try(smaller)
            return again if again and again[0] and again[0].kind == tried[0].kind else None

        return shrunk(case, tried, self.peers, self.sizes, still)

    def _steady(self):
        """Look whether a right program is right again, and without its neighbours."""
        case = self._usual()
        found = unsteady(self.exercise, case)
        return self._report(found, self._try(case)[1]) if found else None

    def _disturbed(self):
        """Let messages overtake each other, and peers be slow."""
        for case in disturbed_cases(self.peers, self.sizes, self.seed):
            if self._dear and case.seed != self.seed:
                continue
            tried = self._try(case)
            if tried and tried[0]:
                case, (found, trial) = tried = self._shrunk(case, tried)
                if case.calm:            # it was the other input
                    return self._explained(*tried)
                calm = attempt(self.exercise, replace(case, jitter_s=0.0, plan=None))
                return self._report(race(found, trial, calm), trial)
        return None

    def _struck(self, plans):
        """Let the faults strike that it claims to survive."""
        for plan in plans:
            marks = []
            for case in struck_cases(plan, self.peers, self.sizes, self.seed):
                found, trial = tried = self._try(case)
                marks += trial.run.marks
                if found is not None:
                    _, (found, trial) = self._shrunk(case, tried)
                    return self._report(not_survived(found, trial), trial)
            missed = not_struck(plan, marks)
            if missed is not None:
                return self._report(missed, trial)
        if plans:
            self.scope.append(f"under {words.counted(len(plans), 'plan')} of faults")
        return None

    def _cheap(self):
        """Compare what it costs with the targets."""
        noun = self.exercise.task.noun
        costs = sorted(self.costs, key=lambda cost: (cost.n_peers,
                                                     easiest(cost.n_peers, cost.size)))
        for cost in itertools.chain(costs, self._peaks()):
            found = too_much(cost, self.targets, noun)
            if found is not None:
                return self._report(found, self._try(Case(cost.n_peers, cost.size, self.seed))[1])
        return None

    def _peaks(self):
        """Yield the Cost in memory with few peers and with many: it takes large parts."""
        if self.targets.peak_bytes is not None:
            several = [n for n in self.peers if n > 1] or self.peers
            for n in sorted({min(several), max(several)}):
                yield measured_peak(self.exercise, n, self.seed)

    def _for_real(self, real):
        """Run it once in worker processes."""
        if real is False:
            return None
        with world_for(real, self.peers) as world:
            case = replace(self._usual(), n_peers=world.workers, real=True)
            trial, found = attempt_for_real(self.exercise, case, world)
        self.scope.append(f"and for real with {words.counted(world.workers, 'worker')}")
        return self._report(found, trial) if found else None

    # ---- what is reported

    def _report(self, found, trial):
        return Report(False, found.sentence, found.detail, found.hint, found.kind, trial.case,
                      trial.inputs.lists, trial.run, trial.printed, self._shown_costs(),
                      self.cases)

    def _shown_costs(self):
        largest = {cost.n_peers: cost for cost in sorted(self.costs)}
        return tuple(largest[n] for n in sorted(largest))
