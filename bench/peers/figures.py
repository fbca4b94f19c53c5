# SPDX-License-Identifier: Apache-2.0
"""From measurements to figures: rates, processor time per photo, memory, ratios."""
import dataclasses
import statistics


@dataclasses.dataclass
class Figure:
    """A line of the table; medians over the turns."""
    name: str
    title: str
    network: str
    size: int
    precision: str
    rate: float | None = None               # photos a second, starts subtracted
    lowest: float | None = None
    highest: float | None = None
    processor_ms: float | None = None       # per photo, starts subtracted
    start: float | None = None              # seconds that do not grow with the photos
    peak_mib: float = 0.0
    seconds: float | None = None            # of the PCA alone: from Parquet to the fitted model
    over_limit: float | None = None         # it was stopped after so many seconds
    counts: tuple = ()
    turns: int = 0


def _pairs(measurements):
    """(few, many) of each turn; where counts of more than one plan are there, those that were measured last."""
    last = measurements[-1]["plan"]
    turns = {}
    for one in measurements:
        if one["plan"] == last:
            turns.setdefault(one["turn"], {})[one["count"]] = one
    return [tuple(turn[count] for count in sorted(turn)) for turn in turns.values() if len(turn) == len(last)]


def figures(results):
    """{name: Figure} of all that was measured to its end."""
    found = {}
    for name, part in results["parts"].items():
        mine = [one for one in results["measurements"] if one["part"] == name]
        figure = Figure(name, part["title"], part["network"], part["size"], part["precision"])
        limits = [one["over_limit"] for one in mine if "over_limit" in one]
        pairs = _pairs(mine) if mine else []
        if limits:
            figure.over_limit = max(limits)
        elif not pairs:
            continue
        elif part["few"] == 0:
            figure.seconds = statistics.median(one["fit_seconds"] for one, in pairs)
        else:
            rates, processor, starts = [], [], []
            for few, many in pairs:
                photos, seconds = many["photos"] - few["photos"], many["seconds"] - few["seconds"]
                if seconds <= 0:
                    continue  # the start took longer than the photos: nothing can be said
                rates.append(photos / seconds)
                processor.append(1000 * (many["processor_seconds"] - few["processor_seconds"]) / photos)
                starts.append(few["seconds"] - few["photos"] * seconds / photos)
            if not rates:
                continue
            figure.rate, figure.lowest, figure.highest = statistics.median(rates), min(rates), max(rates)
            figure.processor_ms, figure.start = statistics.median(processor), statistics.median(starts)
            figure.counts = tuple(one["photos"] for one in pairs[0])
        figure.turns = len(pairs)
        figure.peak_mib = max(one["peak_mib"] for one in mine)
        found[name] = figure
    return found


def ratios(results, found):
    """[(name, value, goal or None)]"""
    lines = [(name, above, below, goal) for name, above, below, goal in results["goals"]]
    return [(name, found[above].rate / found[below].rate, goal) for name, above, below, goal in lines
            if above in found and below in found and found[above].rate and found[below].rate]
