"""Models that learn from shards: what a shard answers, what the optimiser does with it.

    LogisticRegression      in scikit-learn's manner, over any of the three models
    logistic                its two halves, for programs of your own
    minimize                L-BFGS and OWL-QN
"""

from labkit.learning import logistic
from labkit.learning.lbfgs import Minimum, minimize

__all__ = ["LogisticRegression", "Minimum", "logistic", "minimize"]


def __getattr__(name):
    # Importing scikit-learn takes a second or two; workers need only `logistic` and never wait.
    if name == "LogisticRegression":
        from labkit.learning.estimator import LogisticRegression

        return LogisticRegression
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
