"""One real cluster for the whole test session: starting processes is the slow part."""

import pytest

import labkit

WORKERS = 3


@pytest.fixture(scope="session")
def cluster():
    with labkit.cluster(workers=WORKERS, deadline_s=30) as world:
        yield world


@pytest.fixture(params=["serial", "simulated", "cluster"])
def world(request):
    """Each of the three worlds in turn, with three workers."""
    if request.param == "cluster":
        yield request.getfixturevalue("cluster")
    else:
        with getattr(labkit, request.param)(workers=WORKERS) as world:
            yield world
