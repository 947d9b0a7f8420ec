"""The static picture of a replay: what is there before, or without, its script.

    peer 0  |#####.....##|
    peer 1  |##...\\..####|      as in `labkit.plots.timeline`, as SVG with few elements

Long runs get none: a picture of thousands of lines says no more than a sentence.
"""

from __future__ import annotations

import html

from labkit.plots import style

MANY_EVENTS = 600
MANY_LANES = 32
LEFT, RIGHT, TOP, LANE, FOOT = 80, 10, 8, 24, 28        # pixels
WIDTH = 800


def picture(encoded, alt):
    """Return the picture as SVG, or a sentence instead of it; both say `alt`."""
    data, events, pairs = encoded
    words = f"<p>{html.escape(alt)}</p>"
    if not events or len(events) > MANY_EVENTS or data["workers"] > MANY_LANES:
        return words
    first, last = data["window"]
    scale = (WIDTH - LEFT - RIGHT) / (last - first)

    def x(at_s):
        return round(LEFT + min(max(at_s * 1e9 - first, 0), last - first) * scale, 1)

    height = TOP + LANE * data["workers"] + FOOT
    name = "worker" if any(event.kind == "task" for event in events) else "peer"
    parts = [f'<text x="{LEFT - 8}" y="{_middle(rank) + 5}" text-anchor="end">{name} {rank}</text>'
             for rank in range(data["workers"])]
    parts += _lanes(events, x)
    parts += [f'<path d="M{x(sent.start_s)} {_middle(sent.rank)}L{x(got.end_s)} '
              f'{_middle(got.rank)}" stroke="{style.VERMILLION}"/>'
              for sent, got in pairs]
    parts += [f'<text x="{LEFT if at == first else WIDTH - RIGHT}" y="{height - 8}" '
              f'text-anchor="{anchor}">{style.rounded(at / 1e9, "s")}</text>'
              for at, anchor in ((first, "start"), (last, "end"))]
    parts.append(f'<text x="{WIDTH / 2}" y="{height - 8}" text-anchor="middle">'
                 f'{html.escape(data["clock"])}</text>')
    return (f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="sans-serif" font-size="14" fill="currentColor">{"".join(parts)}'
            f'</svg>{words}')


def _middle(rank):
    return TOP + LANE * (rank + 0.5)


def _lanes(events, x):
    """Return bars: from each lane's first event to its last, and what is known of it."""
    lanes = {}
    for event in events:
        first, last = lanes.get(event.rank, (event.start_s, event.end_s))
        lanes[event.rank] = min(first, event.start_s), max(last, event.end_s)
    tasks = any(event.kind == "task" for event in events)
    bars = [] if tasks else [_bar(x, rank, *span, style.SKY) for rank, span in lanes.items()]
    colours = {"recv": style.LIGHT, "task": style.BLUE, "work": style.BLUE}
    return bars + [_bar(x, event.rank, event.start_s, event.end_s, colours[event.kind])
                   for event in events if event.kind in colours]


def _bar(x, rank, start_s, end_s, colour):
    return (f'<rect x="{x(start_s)}" y="{_middle(rank) - 7}" height="14" '
            f'width="{round(max(x(end_s) - x(start_s), 0.5), 1)}" fill="{colour}"/>')
