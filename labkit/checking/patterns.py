"""Which cases go wrong, as a rule: "when the size is not divisible by the number of peers".

             size 12   7   3   1
    2 peers     .      x   x   x
    3 peers     .      x   .   x          x = goes wrong; a rule is said only if it fits them all
"""

from __future__ import annotations

RULES = (
    ("With 1 peer", lambda n, size: n == 1),
    ("With empty parts", lambda n, size: size == 0),
    ("When the size is not divisible by the number of peers", lambda n, size: size % n > 0),
    ("When there are fewer entries than peers", lambda n, size: size < n),
    ("When there are fewer entries than peers, but some", lambda n, size: 0 < size < n),
    ("When the number of peers is no power of two", lambda n, size: n & (n - 1) > 0),
    ("When the number of peers is odd", lambda n, size: n % 2 == 1 and n > 1),
    ("With more than 2 peers", lambda n, size: n > 2),
)


def rule(outcomes, kind):
    """Return the rule that fits, as the begin of a sentence; "" if there is none.

    Parameters
    ----------
    outcomes : dict
        {(peers, size): kind of what is wrong there, "" if nothing is}.
    kind : str
        Cases that are wrong in other ways are left out.
    """
    # Where there are no entries, none can be wrong.
    looked_at = {(n, size): found == kind for (n, size), found in outcomes.items()
                 if found == kind or found == "" and size}
    if all(looked_at.values()) or not any(looked_at.values()):
        return ""
    for words, fits in RULES:
        if all(fits(*case) == wrong for case, wrong in looked_at.items()):
            return words
    return ""
