"""What the benchmarks share: contenders in alternation, peers as commands, one table.

    round 1   labkit, peer A, peer B      a machine that is slow for a minute is slow for all
    round 2   labkit, peer A, peer B
    ...
    median and range of each, and the ratio peer / labkit: the median of the rounds' ratios
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("LABKIT_ROUNDS", 5))
PEERS = Path(os.environ.get("LABKIT_PEERS", HERE.parent / ".venv-peers/bin/python"))


def alternate(contenders, rounds=ROUNDS):
    """Run every contender once a round.

    Parameters
    ----------
    contenders : dict of str to callable
        Each returns {work: value}, the same works in all, or None where it cannot run.

    Returns
    -------
    dict
        {work: {contender: [value of each round]}}
    """
    found = {}
    for number in range(rounds):
        for name, measure in contenders.items():
            for work, value in (measure() or {}).items():
                found.setdefault(work, {}).setdefault(name, []).append(value)
        print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def peer(script, *arguments, launcher=(), timeout_s=600):
    """Run a script of `peers/` in the peers' environment; return the JSON that it prints last.

    Returns None where that environment or the launcher does not exist.
    """
    if not PEERS.exists() or (launcher and shutil.which(launcher[0]) is None):
        return None
    done = subprocess.run([*launcher, str(PEERS), str(HERE / "peers" / script),
                           *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout_s)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"{script} failed:\n{done.stderr[-2000:]}")
    return json.loads(lines[-1])


def table(title, found, ours, scale=1.0, unit="s", faster="low"):
    """Print a row for each work and contender, and how many times better the first is.

    `faster="low"`: values are times; "high": they are rates.
    """
    print(f"\n{title}  ({machine()})\n")
    print(f"| work | contender | median {unit} | min | max | peer / {ours} |")
    print("|---|---|---|---|---|---|")
    for work, by_name in found.items():
        for name, values in by_name.items():
            pairs = list(zip(values, by_name[ours], strict=False))
            ratio = statistics.median(v / o if faster == "low" else o / v for v, o in pairs)
            numbers = [statistics.median(values), min(values), max(values)]
            cells = " | ".join(f"{scale * number:.4g}" for number in numbers)
            print(f"| {work} | {name} | {cells} | {ratio:.2f} |")


def machine():
    """Return what the numbers depend on, in words."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines()
                 if line.startswith("model name")]
        model = names[0] if names else model
    return f"{os.cpu_count()} cores, {model}, Python {platform.python_version()}"
