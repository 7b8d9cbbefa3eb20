"""The results as Markdown."""
import statistics

from rows import RATE, ROWS


class Capped(float):
    """Seconds that were not enough."""


def shown(value):
    if value is None:
        return ""
    text = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"> {value:.0f}" if isinstance(value, Capped) else text


def shown_in(row, value):
    return "–" if isinstance(value, Capped) and row.kind == RATE else shown(value)


def middle(values):
    """Their median; Capped if any was, None if there are none."""
    if not values:
        return None
    return next((value for value in values if isinstance(value, Capped)),
                statistics.median(values))


def ratio(row, ours, theirs):
    """How many times as good ours is."""
    if ours is None or theirs is None or isinstance(ours, Capped):
        return ""
    if isinstance(theirs, Capped):
        return f"> {theirs / ours:.1f}" if row.kind != RATE and not row.of_cpu else ""
    good, bad = (ours, theirs) if row.kind == RATE else (theirs, ours)
    return f"{good / bad:.2f}" if bad else ""


def of_run(results, competitors, chosen, sizes):
    """Lines. results: {(row, competitor): values}. The last columns: the first competitor beside
    each of the others."""
    us, others = competitors[0], competitors[1:]
    lines = ["| | " + " | ".join([one.text for one in competitors] +
                                 [f"times {one.text}" for one in others]) + " |",
             "| --- |" + " ---: |" * (len(competitors) + len(others))]
    for row in ROWS:
        values = [middle(results.get((row.name, one.name))) for one in competitors]
        if row.name == "memory":
            values = [max(results.get((row.name, one.name)) or [0]) or None for one in competitors]
        if row.name not in chosen or all(value is None for value in values):
            continue
        ratios = [ratio(row, values[0], value) for value in values[1:]]
        text = row.text.format(repository=sizes.repository, listing=sizes.listing)
        cells = [text] + [shown_in(row, value) for value in values] + ratios
        lines.append("| " + " | ".join(cells) + " |")
    return lines
