"""The oracle is Spark MLlib itself: its coefficients, asked for now, on real data.

Spark runs in this machine's Java; nothing it finds is stored. Each case is compared as

    max |ours - Spark's| / max |Spark's|      over coefficients and intercepts together

in standardised units (coefficients times their feature's deviation, so that no feature hides
behind another's scale) and must be at most 1e-4, for all three models.
"""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

import labkit
from labkit.datasets import sample_libsvm
from labkit.learning import LogisticRegression

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(importlib.util.find_spec("pyspark") is None,
                       reason="pyspark is not installed: pip install -e .[frameworks]"),
    pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java on the PATH"),
]

SAMPLE = Path(__file__).parents[1] / "datasets" / "sample_libsvm_data.txt"
MODELS = ["peer_to_peer", "master_worker", "map_reduce"]

# data, reg_param, elastic_net_param, standardization, fit_intercept, family
CASES = [
    ("sample", 0.1, 0.0, True, True, "auto"),
    ("sample", 0.01, 0.0, True, False, "auto"),
    ("sample", 0.3, 0.8, True, True, "auto"),       # the example of Spark's own guide
    ("sample", 0.1, 0.5, True, True, "multinomial"),
    ("cancer", 0.01, 0.0, True, True, "auto"),
    ("cancer", 0.01, 0.0, True, False, "auto"),
    ("cancer", 0.05, 0.5, True, True, "auto"),
    ("cancer", 0.1, 0.5, False, True, "auto"),
    ("cancer", 0.05, 1.0, True, True, "auto"),
    ("cancer", 0.02, 0.0, True, True, "multinomial"),
    ("digits", 0.01, 0.0, True, True, "auto"),
    ("digits", 0.02, 0.5, True, True, "multinomial"),
    ("noisy", 0.1, 0.0, False, True, "auto"),
    ("noisy", 0.1, 0.5, False, True, "multinomial"),
    ("noisy", 0.0, 0.0, True, True, "multinomial"),  # no penalty: only centring makes it unique
]

# Without standardization these are so badly scaled that Spark is still far from the optimum
# after thousands of steps: what can be compared is the objective.
BADLY_SCALED = [("sample", 0.1, 0.0), ("sample", 0.05, 0.5), ("cancer", 0.01, 0.0),
                ("cancer", 0.01, 0.5)]


@pytest.fixture(scope="module")
def spark():
    from pyspark.sql import SparkSession

    session = (SparkSession.builder.master("local[2]").appName("labkit")
               .config("spark.ui.enabled", "false")
               .config("spark.driver.bindAddress", "127.0.0.1")
               .config("spark.driver.host", "127.0.0.1")
               .config("spark.ui.showConsoleProgress", "false")
               .getOrCreate())
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


def data(name):
    """Return X and y of a data set, in this process."""
    if name == "sample":
        X, y = sample_libsvm(sparse=False)
        return X.compute(), y.compute()
    if name == "cancer":
        return load_breast_cancer(return_X_y=True)
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        return X[y < 4], y[y < 4]
    rng = np.random.default_rng(0)
    return rng.standard_normal((300, 5)) * [1, 2, 3, 4, 5], rng.integers(0, 3, 300)


@pytest.fixture(scope="module")
def frames(spark):
    """Return data sets as Spark's own frames; the sample is read by Spark's own reader."""
    from pyspark.ml.linalg import Vectors

    def rows(name):
        X, y = data(name)
        return [(float(label), Vectors.dense(row)) for label, row in zip(y, X)]

    made = {name: spark.createDataFrame(rows(name), ["label", "features"])
            for name in ("cancer", "digits", "noisy")}
    made["sample"] = spark.read.format("libsvm").load(str(SAMPLE))
    # Such small data is read fastest in one piece.
    return {name: frame.coalesce(1).cache() for name, frame in made.items()}


def spark_fit(frame, reg, elastic, standardization, intercept=True, family="auto", steps=2000):
    from pyspark.ml.classification import LogisticRegression as SparkLogisticRegression

    return SparkLogisticRegression(
        regParam=reg, elasticNetParam=elastic, standardization=standardization,
        fitIntercept=intercept, family=family, maxIter=steps, tol=1e-12).fit(frame)


def deviations(X):
    return np.where(X.std(axis=0) > 0, X.std(axis=0, ddof=1), 1.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_all_three_models_find_the_coefficients_of_spark(case, frames):
    name, reg, elastic, standardization, intercept, family = case
    theirs = spark_fit(frames[name], *case[1:])
    X, y = data(name)
    scale = deviations(X)
    expected = np.column_stack([theirs.coefficientMatrix.toArray() * scale,
                                theirs.interceptVector.toArray()])
    with labkit.serial(workers=3) as world:
        shards = world.shard(X, y)
        for model in MODELS:
            ours = LogisticRegression(reg, elastic, 2000, 1e-9, intercept, standardization, family,
                                      model, world).fit(*shards)
            assert ours.converged_
            found = np.column_stack([ours.coef_ * scale, ours.intercept_])
            assert found.shape == expected.shape
            difference = np.max(np.abs(found - expected)) / np.max(np.abs(expected))
            print(f"DIFF {case} {model} {difference:.1e}")
            assert difference <= 1e-4, model


def objective(X, y, coef, intercept, reg, elastic):
    """The objective without standardization, written out for two classes."""
    margins = X @ coef + intercept
    loss = np.mean(np.logaddexp(0, np.where(y == 1, -margins, margins)))
    return loss + reg * (elastic * np.abs(coef).sum() + (1 - elastic) / 2 * coef @ coef)


@pytest.mark.parametrize("case", BADLY_SCALED, ids=lambda case: "-".join(map(str, case)))
def test_where_spark_stops_early_the_objective_is_the_same_and_ours_is_lower(case, frames):
    name, reg, elastic = case
    theirs = spark_fit(frames[name], reg, elastic, standardization=False, steps=200)
    X, y = data(name)
    reached = objective(X, y, theirs.coefficients.toArray(), theirs.intercept, reg, elastic)
    assert reached == pytest.approx(theirs.summary.objectiveHistory[-1], rel=1e-8)
    ours = LogisticRegression(reg, elastic, max_iter=2000, tol=1e-9, standardization=False)
    ours.fit(X, y)
    assert ours.converged_
    lowest = objective(X, y, ours.coef_[0], ours.intercept_[0], reg, elastic)
    assert ours.loss_history_[-1] == pytest.approx(lowest, rel=1e-9)
    print("DIFF", case, reached, lowest, (reached - lowest) / lowest)
    assert lowest <= reached * (1 + 1e-12)
