"""Published measurements, as rows: what laws are held against, and what lessons plot.

    datasets/published/usl_specsdm91.csv          published("usl_specsdm91")

    load,throughput                               [{"load": 1.0, "throughput": 64.9},
    1,64.9                                         {"load": 18.0, "throughput": 995.9}, ...]
    18,995.9

`datasets/README.md` says of each file what it holds and which publication it is from.
"""

from __future__ import annotations

import csv
from pathlib import Path

from labkit.errors import ConfigurationError, DataError

FOLDER = Path(__file__).resolve().parents[2] / "datasets" / "published"


def published(name):
    """Return the rows of a published table.

    Parameters
    ----------
    name : str
        The file's name without its ending; a wrong one lists them all.

    Returns
    -------
    list of dict
        Column -> value: a float where the text is a number, None where it is empty, a str
        otherwise ("2%", "1 h for 90 epochs").

    Raises
    ------
    DataError
        When the tables are not where a checkout of labkit has them.
    ConfigurationError
        For an unknown name.
    """
    known = sorted(path.stem for path in FOLDER.glob("*.csv"))
    if not known:
        raise DataError("The published tables of labkit are not there.",
                        expected="datasets/published beside the package labkit",
                        got="no tables", where=str(FOLDER),
                        remedy="install labkit from its checkout with: pip install -e .")
    if name not in known:
        raise ConfigurationError("There is no such published table.", got=repr(name),
                                 expected=", ".join(known), where="published(name)",
                                 remedy="datasets/README.md says what each holds")
    with open(FOLDER / f"{name}.csv", encoding="utf-8", newline="") as file:
        return [{column: _value(text) for column, text in row.items()}
                for row in csv.DictReader(file)]


def _value(text):
    try:
        return float(text) if text else None
    except ValueError:
        return text
