"""How fast peers agree that only average with their neighbours: the law of the spectral gap.

    differences after k rounds  <=  (1 - gap)^k  differences before

    ring  about 13 / n^2      torus  about 8 / n      exponential graph  2 / (1 + log2 n)

The law is at home in `labkit.topology`, beside the graphs; here it stands among the others. There
are `closed_form_gap(name, n)`, `spectral_gap(W)` and `rounds_to_reach(tolerance, gap)`.

Source: Xiao and Boyd, "Fast linear iterations for distributed averaging", Systems & Control
Letters 53, 2004.
"""

from labkit.topology import closed_form_gap, rounds_to_reach, spectral_gap

__all__ = ["closed_form_gap", "rounds_to_reach", "spectral_gap"]
