"""The results as Markdown."""
import dataclasses
import statistics

from rows import LESS, RATE, ROWS, SECONDS


class Capped(float):
    """Seconds that were not enough."""


def shown(value):
    if value is None:
        return ""
    text = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"> {value:.0f}" if isinstance(value, Capped) else text


def middle(values):
    """Their median; Capped if any was, None if there are none."""
    if not values:
        return None
    return next((value for value in values if isinstance(value, Capped)),
                statistics.median(values))


def ratio(kind, ours, theirs):
    """How many times as good ours is."""
    if ours is None or theirs is None or isinstance(ours, Capped):
        return ""
    if isinstance(theirs, Capped):
        return f"> {theirs / ours:.1f}" if kind == SECONDS else ""
    good, bad = (ours, theirs) if kind == RATE else (theirs, ours)
    return f"{good / bad:.2f}" if bad else ""


def of_run(results, competitors, chosen, sizes, about):
    """Lines, none without rows. results: {(row, competitor): values}. The last columns: the first
    competitor beside each of the others."""
    competitors = [one for one in competitors if about in one.about]
    lines = head(competitors)
    for row in ROWS:
        if row.about != about:
            continue
        values = [middle(results.get((row.name, one.name))) for one in competitors]
        if row.name == "memory":
            values = [max(results.get((row.name, one.name)) or [0]) or None for one in competitors]
        if row.name in chosen:
            lines += line(row, row.text, row.kind, values, sizes)
    return lines if len(lines) > 2 else []


def of_cpu(cpu, competitors, chosen, sizes, about):
    """The same of CPU time: {(step, competitor): seconds for each unit of its row}."""
    competitors = [one for one in competitors if about in one.about]
    lines = head(competitors)
    for row in ROWS:
        if row.about != about:
            continue
        values = [middle(cpu.get((row.name, one.name))) for one in competitors]
        if row.name in chosen:
            what, _, unit = row.text.rpartition(", ")
            per = {"MB/s": " per MB", "per s": " each", "files per s": " each"}.get(unit, "")
            values = [None if value is None else value * 1000 for value in values]
            lines += line(row, f"{what}, CPU ms{per}", LESS, values, sizes)
    return lines if len(lines) > 2 else []


def head(competitors):
    texts = [one.text for one in competitors]
    return ["| | " + " | ".join(texts + [f"times {text}" for text in texts[1:]]) + " |",
            "| --- |" + " ---: |" * (2 * len(texts) - 1)]


def line(row, text, kind, values, sizes):
    """A list of one line, or none if there are no values."""
    if all(value is None for value in values):
        return []
    ratios = [ratio(kind, values[0], value) for value in values[1:]]
    cells = [text.format(**dataclasses.asdict(sizes))]
    cells += ["–" if isinstance(value, Capped) and kind == RATE else shown(value)
              for value in values]
    return ["| " + " | ".join(cells + ratios) + " |"]
