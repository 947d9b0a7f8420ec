"""How a report puts things: peers, entries, steps and counts in plain English."""

from __future__ import annotations

from labkit.words import counted, listed

FEW = 4                      # that are named one by one


def peers(ranks):
    """Return "peer 2" or "peers 0 and 2"."""
    ranks = list(ranks)
    return f"peer{'s' * (len(ranks) != 1)} {listed(ranks)}"


def entries(positions):
    """Return "entry 3", "entries 4 to 7" or "entries 0, 2 and 5"."""
    found = sorted(int(position) for position in positions)
    if len(found) == 1:
        return f"entry {found[0]}"
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"entries {found[0]} to {found[-1]}"
    if len(found) <= FEW:
        return f"entries {listed(found)}"
    return f"entries {', '.join(map(str, found[:FEW]))} and {len(found) - FEW} more"


def in_step(step):
    """Return " in step 4", or "" before the first step."""
    return f" in step {step}" if step >= 0 else ""


def span(noun, numbers):
    """Return "1 to 9 peers" or "3 peers" for peers, "sizes 0 to 12" or "size 4" for all else."""
    low, high = min(numbers), max(numbers)
    if noun == "peer":
        return counted(low, noun) if low == high else f"{low} to {high} {noun}s"
    return f"{noun} {low}" if low == high else f"{noun}s {low} to {high}"


def times(number):
    """Return "twice" or "3 times"."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def ordinal(number):
    """Return "1st", "2nd", "3rd", "4th" ..."""
    last = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else last}"


def amount(number):
    """Return a number as a report shows it, the same on every machine."""
    return f"{number:,}" if isinstance(number, int) else f"{float(number):.4g}"


def capital(sentence):
    """Return a sentence that begins with a capital."""
    return sentence[:1].upper() + sentence[1:]


def small(sentence):
    """Return a sentence as it stands after a colon."""
    return sentence[:1].lower() + sentence[1:]
