"""Numbers and names as a sentence has them."""

from __future__ import annotations


def listed(names):
    """Return "a", "a and b" or "a, b and c"."""
    names = [str(name) for name in names]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def counted(number, noun):
    """Return "1 message" or "12 messages"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
