"""The plots of a run: what is to be drawn, from figures that were counted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from math import sqrt

import numpy as np

from batchtts.review.page import spelling
from batchtts.review.page.bins import Floats, Histogram
from batchtts.review.page.drawing import (
    BOTTOM,
    LEFT,
    RIGHT,
    ROWS,
    TOP,
    Plot,
    Table,
    bars,
    even_ticks,
    log_ticks,
    num,
    round_up,
    scale,
    wide,
)
from batchtts.review.page.timeline import Clock, Timeline

Spell = Callable[[float], str]

_MOST_BARS = 44
_FEWEST_BARS = 14
_GAP = 0.6
_RANKED = 8  # words that are shown
_WORDS = 140  # room for them
_STEPS_S = (
    *(1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200),
    *(86400, 172800, 604800, 1209600, 2592000),
)


def spread(
    slug: str, title: str, found: Histogram, lacks: str, spell: Spell = spelling.seconds
) -> Plot:
    """How values lie on a logarithmic scale."""
    plot = Plot(slug, title)
    if not found.total:
        plot.lacks = lacks
        return plot
    shown = found.shown(round(min(_MOST_BARS, max(_FEWEST_BARS, 2.5 * sqrt(found.total)))))
    low, high = float(shown.edges[0]), float(shown.edges[-1])
    middle = sqrt(low * high)
    low, high = min(low, middle / 1.6), max(high, middle * 1.6)

    def at(value: float) -> float:
        return scale(np.log(value), np.log(low), np.log(high), LEFT, RIGHT)

    _stand(plot, shown, at)
    for tick in log_ticks(low, high):
        plot.tick(at(tick), spell(tick))
    half, most = found.quantile(0.5), found.quantile(0.95)
    plot.mark(at(half), 0, f"half within {spell(half)}")
    plot.mark(at(most), 1, f"95 % within {spell(most)}")
    plot.about = (
        f"{spelling.plural(found.total, 'row')}: half within {spell(half)}, 95 % within"
        f" {spell(most)}, the slowest {spell(found.quantile(1.0))}."
    )
    plot.table = _table("from, to", shown, spell)
    return plot


def _stand(plot: Plot, shown: Histogram, at: Callable[[float], float]) -> None:
    """Draw the bars of a histogram, the highest up to the top."""
    highest = max(int(shown.counts.max()), 1)
    edges = [at(float(edge)) for edge in shown.edges]
    places = [(a + _GAP / 2, b - _GAP / 2) for a, b in pairwise(edges)]
    heights = [count / highest * (BOTTOM - TOP) for count in shown.counts.tolist()]
    plot.draw("bar", bars(places, [max(it, 1.0) if it else 0 for it in heights]))
    plot.floor()


def _table(what: str, shown: Histogram, spell: Spell) -> Table:
    pairs = zip(shown.edges, shown.edges[1:], shown.counts.tolist(), strict=False)
    rows = [(f"{spell(a)} to {spell(b)}", spelling.count(n)) for a, b, n in pairs if n]
    return Table((what, "rows"), rows)


def rates(slug: str, title: str, found: Histogram, group: str) -> Plot:
    """How many words of a hundred are wrong, of the rows of a voice; the first bin has no error."""
    plot = Plot(slug, title)
    if not found.total:
        plot.lacks = f"no row of {group} was compared with its script"
        return plot
    edges = found.edges

    def at(value: float) -> float:
        return scale(value, float(edges[0]), float(edges[-1]), LEFT, RIGHT)

    _stand(plot, found, at)
    plot.tick((at(float(edges[0])) + at(0)) / 2, "0")
    for tick in even_ticks(0, 1, 5)[1:]:
        plot.tick(at(tick), f"{tick * 100:.0f} %")
    high = max(found.quantile(0.95), 0.0)
    told = f"{spelling.percent(found.counts[0] / found.total)} without an error"
    plot.say(RIGHT, ROWS[0], told, "end", "value")
    if high > 0:
        plot.mark(at(high), 1, f"95 % of rows within {spelling.percent(high)}")
    plot.about = (
        f"{spelling.plural(found.total, 'row')} of {group}: {told}, half within"
        f" {spelling.percent(max(found.quantile(0.5), 0.0))}, 95 % within {spelling.percent(high)}."
    )
    pairs = zip(pairwise(edges.tolist()), found.counts.tolist(), strict=True)
    rows = [(_errors(a, b), spelling.count(count)) for (a, b), count in pairs if count]
    plot.table = Table(("word error rate", "rows"), rows)
    return plot


def _errors(low: float, high: float) -> str:
    if low < 0:
        return "0"
    return f"up to {high * 100:.0f} %" if high <= 1 else "above 100 %"


def opinions(slug: str, title: str, found: Histogram, group: str) -> Plot:
    """How natural the rows of a voice sound, from 1 to 5."""
    plot = Plot(slug, title)
    if not found.total:
        plot.lacks = f"of no row of {group} was measured how natural it sounds"
        return plot

    def at(value: float) -> float:
        return scale(value, 1, 5, LEFT, RIGHT)

    _stand(plot, found, at)
    for tick in (1, 2, 3, 4, 5):
        plot.tick(at(tick), f"{tick}")
    low, middle = found.quantile(0.05), found.quantile(0.5)
    plot.mark(at(low), 0, f"5 % of rows below {low:.1f}")
    plot.mark(at(middle), 1, f"median {middle:.1f}")
    plot.about = (
        f"{spelling.plural(found.total, 'row')} of {group}: median {middle:.2f}, 5 % below"
        f" {low:.2f}, on a scale from 1 to 5."
    )
    plot.table = _table("MOS", found, lambda value: f"{value:.1f}")
    return plot


def ranked(slug: str, title: str, counts: Mapping[str, int]) -> Plot:
    """Words, and how often each was said; the most usual ones."""
    plot = Plot(slug, title)
    order = sorted(counts.items(), key=lambda it: (-it[1], it[0]))
    shown, most = order[:_RANKED], order[0][1]
    for place, (word, count) in enumerate(shown):
        y = TOP - 22 + place * 19
        plot.say(_WORDS - 6, y + 10, spelling.short_text(word, 22), "end", "value")
        length = max(count / most * (RIGHT - _WORDS - 34), 1)
        plot.draw("bar", f"M{_WORDS} {y}h{num(length)}v13h{num(-length)}z")
        plot.say(_WORDS + length + 5, y + 10, spelling.count(count), "start")
    rows = [(spelling.short_text(word, 80), spelling.count(count)) for word, count in order[:40]]
    plot.about = ", ".join(f"{word} {count}" for word, count in rows[:_RANKED])
    plot.table = Table(("reason", "rows"), rows)
    return plot


# ── over time ─────────────────────────────────────────────────────────────────

_NO_TIMES = "when rows were in work is not known"


def throughput(timeline: Timeline | None) -> Plot:
    """Rows that were done, by the time."""
    plot = Plot("throughput", "Rows done over time")
    if timeline is None:
        plot.lacks = _NO_TIMES
        return plot
    per_s = timeline.done / timeline.bin_s
    unit, times = next(
        (unit, times)
        for unit, times in (("second", 1), ("minute", 60), ("hour", 3600))
        if per_s.max() * times >= 2 or unit == "hour"
    )
    peak, usual = float(per_s.max() * times), float(per_s.mean() * times)
    told = f"{spelling.short(peak, 2)} rows a {unit} at most, {spelling.short(usual, 2)} on average"
    plot.about = f"{told}."
    plot.say(LEFT, ROWS[0], told, "start", "value")
    _over_time(plot, timeline, per_s * times, peak)
    plot.table = _times_table(timeline, f"rows a {unit}", [per_s * times])
    return plot


def in_flight(timeline: Timeline | None) -> Plot:
    """Rows that were begun and not finished, by the time."""
    plot = Plot("in-flight", "Rows in flight over time")
    if timeline is None:
        plot.lacks = _NO_TIMES
        return plot
    values = timeline.in_work
    peak, usual = float(values.max()), float(values.mean())
    told = f"{spelling.short(peak, 2)} at once at most, {spelling.short(usual, 2)} on average"
    plot.about = f"Rows that were begun and not finished: {told}."
    plot.say(LEFT, ROWS[0], told, "start", "value")
    _over_time(plot, timeline, values, peak)
    plot.table = _times_table(timeline, "rows in flight", [values])
    return plot


def trouble(timeline: Timeline | None, lacks: str, *, is_exact: bool) -> Plot:
    """Attempts that failed, and requests that were refused, by the time.

    Args:
        is_exact: Whether it is known when attempts failed; otherwise retries are counted
            when their rows ended.
    """
    plot = Plot("trouble", "Retries and refusals over time")
    if timeline is None or lacks:
        plot.lacks = lacks or _NO_TIMES
        return plot
    retries, refusals = timeline.retries, timeline.refusals
    up, down = float(retries.max()), float(refusals.max())
    words = ("failed attempt", None) if is_exact else ("retry", "retries")
    told = spelling.plural(round(retries.sum()), *words)
    refused = spelling.plural(round(refusals.sum()), "refusal")
    plot.about = f"{told}, {refused}."
    if up + down == 0:
        plot.lacks = "none: every attempt succeeded, and no request was refused"
        return plot
    unit = (BOTTOM - TOP) / (up + down)
    base = TOP + up * unit
    places = _places(timeline)
    plot.draw("bar bad", bars(places, (retries * unit).tolist(), base))
    plot.draw("bar warn", bars(places, (-refusals * unit).tolist(), base))
    plot.floor(base)
    is_both = up > 0 and down > 0
    plot.say(LEFT, ROWS[0], f"up: {told}" if is_both else told, "start", "value bad")
    plot.say(RIGHT, ROWS[0], f"down: {refused}" if is_both else refused, "end", "value warn")
    _tell_times(plot, timeline.clock)
    plot.table = _times_table(timeline, words[1] or f"{words[0]}s", [retries, refusals], "refusals")
    return plot


def _places(timeline: Timeline) -> list[tuple[float, float]]:
    edges = np.linspace(LEFT, RIGHT, len(timeline.edges)).tolist()
    return [(a + _GAP / 2, b - _GAP / 2) for a, b in pairwise(edges)]


def _over_time(plot: Plot, timeline: Timeline, values: Floats, peak: float) -> None:
    top = round_up(peak)
    heights = (values / top * (BOTTOM - TOP - 4)).tolist()
    plot.draw("bar", bars(_places(timeline), heights))
    y = scale(top, 0, top, BOTTOM, TOP + 4)
    plot.draw("grid", f"M{LEFT} {num(y)}H{RIGHT}")
    plot.say(RIGHT, y - 3, spelling.short(top), "end")
    plot.floor()
    _tell_times(plot, timeline.clock)


def _tell_times(plot: Plot, clock: Clock) -> None:
    """Say when it was, below; and where time was left out."""

    def at(time: float) -> float:
        return scale(float(clock.at(np.array([time]))[0]), 0, clock.length_s, LEFT, RIGHT)

    for begin in clock.begins[1:]:
        plot.draw("break", f"M{num(at(float(begin)))} {TOP}V{BOTTOM}")
    free_from = -1.0
    for time, text in _ticks(clock):
        x, half = at(time), wide(text) / 2
        centre = min(max(x, LEFT + half), RIGHT - half)
        if centre - half >= free_from:
            plot.draw("axis", f"M{num(x)} {BOTTOM}v3")
            plot.say(centre, BOTTOM + 14, text)
            free_from = centre + half + 6
    plot.say(RIGHT, BOTTOM + 25, f"{_day(clock)} UTC", "end", "tick faint")


def _day(clock: Clock) -> str:
    first = spelling.moment(float(clock.begins[0]), "D")
    last = spelling.moment(float(clock.ends[-1]), "D")
    return first if first == last else f"{first} to {last}"


def _ticks(clock: Clock) -> list[tuple[float, str]]:
    """When to say what the time is: round times, and where each stretch begins."""
    step = next((it for it in _STEPS_S if clock.length_s / it <= 5), _STEPS_S[-1])
    is_one_day = spelling.moment(float(clock.begins[0]), "D") == spelling.moment(
        float(clock.ends[-1]), "D"
    )
    found = []
    for place, (begin, end) in enumerate(zip(clock.begins, clock.ends, strict=True)):
        if place or len(clock.begins) > 1:
            told = spelling.moment(float(begin), "m")
            found.append((float(begin), told[11:] if is_one_day else told[5:]))
        first = np.ceil(begin / step) * step
        for time in np.arange(first, end, step)[:50].tolist():
            if step >= 86400:
                found.append((time, spelling.moment(time, "D")[5:]))
            else:
                found.append((time, spelling.moment(time, "s" if step < 60 else "m")[11:]))
    return found


def _times_table(timeline: Timeline, what: str, series: list[Floats], *more: str) -> Table:
    """At most some thirty rows: three bins each."""
    rows = []
    for at in range(0, len(timeline.edges) - 1, 3):
        shown = (timeline.edges[at] + timeline.edges[at + 3]) / 2
        place = int(np.searchsorted(timeline.clock.starts, shown, side="right")) - 1
        time = timeline.clock.begins[place] + shown - timeline.clock.starts[place]
        merge = np.sum if more else np.mean
        values = [spelling.short(float(merge(it[at : at + 3]))) for it in series]
        rows.append((spelling.moment(float(time)), *values))
    return Table(("time (UTC)", what, *more), rows)
