"""Charts of what was measured: a time line of what came, and bars to compare costs.

A chart is a picture for the eye and a line of text that says what is in it. No number that was
measured is in that line, so that it is the same at every run. matplotlib is imported when the first
chart is drawn.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from chatlib.lab.picture import COLOURS, FAINT, INK, Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Chart", "bars", "timeline"]

Length = float | Sequence[float]

DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), "-.", (0, (6, 1, 1, 1, 1, 1)), ":")
CAST = {"Ana": 0, "Cleo": 1, "Ben": 2}  # they look the same in every time line
PALE = 0.75  # what is not highlighted; paler it could hardly be told from the page
GAP = 0.075  # the least distance between two names at the end of their lines, of the height


def timeline(
    got: Mapping[str, Sequence[float]],
    *,
    marks: Mapping[str, float] | None = None,
    total: int | None = None,
    title: str = "",
    what: str = "messages",
    marks_at: float = 0.55,
) -> Chart:
    """Return a chart of how many messages each client had got, over time.

    Args:
        got: for each client the moments at which its messages came, in seconds by any clock.
        marks: what else happened, and when, by the same clock.
        total: how many there were to get: a line across.
        title: stands above the chart.
        what: is counted.
        marks_at: how high the name of the first mark stands, of the height; others are below it.
    """
    marks = dict(marks or {})
    moments = [moment for times in got.values() for moment in times] + list(marks.values())
    start, end = min(moments, default=0.0), max(moments, default=0.0)
    span = max(end - start, 1e-3)
    edge = span * 1.04
    highest = max([1, total or 0, *map(len, got.values())])

    def draw(axes: "Axes") -> None:
        names = spread({name: len(times) / highest for name, times in got.items()})
        for number, name in sorted((number, name) for name, number in looks(got).items()):
            times = got[name]
            colour = COLOURS[number % len(COLOURS)]
            when = [0.0, *[moment - start for moment in sorted(times)], edge]
            counts = [0, *range(1, len(times) + 1), len(times)]
            dash = DASHES[number % len(DASHES)]
            broad = max(1.8, 4.8 - 2.4 * number)  # so that one below another is seen
            axes.plot(
                when, counts, color=colour, linestyle=dash, linewidth=broad, drawstyle="steps-post"
            )
            axes.annotate(
                name,
                (edge, names[name] * highest),
                (7, 0),
                textcoords="offset points",
                color=colour,
                va="center",
                fontweight="bold",
                annotation_clip=False,
            )
        if total is not None:
            axes.axhline(total, color=FAINT, linewidth=0.8, linestyle=":")
            axes.annotate(f"all {total}", (0, total), (2, 3), textcoords="offset points",
                          color=FAINT, fontsize=9)  # fmt: skip
        for number, (name, moment) in enumerate(marks.items()):
            axes.axvline(moment - start, color=FAINT, linewidth=1)
            late = moment - start > span / 2
            axes.annotate(
                name,
                (moment - start, highest * (marks_at - 0.1 * (number % 3))),
                (-5 if late else 5, 0),
                textcoords="offset points",
                ha="right" if late else "left",
                color=INK,
                fontsize=9,
            )
        axes.set_xlim(0, edge)
        axes.set_ylim(-0.04 * highest, 1.12 * highest)
        axes.set_xlabel("seconds", color=INK)
        axes.set_ylabel(what, color=INK)
        axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.8)
        axes.set_axisbelow(True)
        if title:
            axes.set_title(title, color=INK, fontsize=11, loc="left")

    head = f"{title}: " if title else ""
    events = f"; marked: {', '.join(marks)}" if marks else ""
    told = "; ".join(
        [f"{name} got {len(times)}" for name, times in got.items()]
        + [f"{name} after {moment - start:.2f} s" for name, moment in marks.items()]
    )
    return Chart(
        draw,
        height=3.0,
        text=f"[chart] {head}{what} over time, of {', '.join(got)}{events}",
        alt=f"{head}{what} over {span:.2f} seconds: {told}",
    )


def bars(
    values: Mapping[str, Length | Mapping[str, Length]],
    *,
    unit: str,
    title: str = "",
    highlight: str | None = None,
    line: tuple[str, float] | None = None,
    row_inches: float = 0.3,
) -> Chart:
    """Return a chart with a bar for each value, from the top down, its number beside it.

    Args:
        values: the length of each bar by its label; or several by name, for a group of bars. A
            list is what one length was at several times: the bar is as long as its median, and a
            thin line goes from the least to the most.
        unit: what the lengths are in.
        title: stands above the chart.
        highlight: the label whose bars are to be seen first.
        line: a name and a value to compare all with, drawn from top to bottom.
        row_inches: how high a bar is, with its share of what is between them.
    """
    groups = {
        label: {name: rounds(length) for name, length in value.items()}
        if isinstance(value, Mapping)
        else {"": rounds(value)}
        for label, value in values.items()
    }
    series = list(dict.fromkeys(name for group in groups.values() for name in group))
    rows = sum(map(len, groups.values()))

    def draw(axes: "Axes") -> None:
        place, ticks, named = 0.0, [], set()
        for label, group in groups.items():
            ticks.append(place + (len(group) - 1) / 2)
            for name, those in group.items():
                number, value = series.index(name), median(those)
                strong = highlight in (None, label)
                axes.barh(
                    place,
                    value,
                    height=0.82,
                    color=COLOURS[number % len(COLOURS)],
                    alpha=1 if strong else PALE,
                    label=name if name and name not in named and strong else None,
                )
                named |= {name} if strong else set()
                if len(those) > 1:
                    axes.plot([min(those), max(those)], [place] * 2, color=INK, linewidth=1.2)
                axes.annotate(figure(value), (max(those), place), (4, 0),
                              textcoords="offset points", va="center", fontsize=9,
                              color=INK)  # fmt: skip
                place += 1
            place += 0.6
        axes.set_yticks(ticks, list(groups))
        for tick in axes.get_yticklabels():
            tick.set_fontweight("bold" if tick.get_text() == highlight else "normal")
        if line is not None:
            axes.axvline(line[1], color=INK, linewidth=1, linestyle=":", label=line[0])
        axes.invert_yaxis()
        axes.margins(x=0.1)
        axes.set_xlabel(unit, color=INK)
        axes.grid(axis="x", color=FAINT, alpha=0.25, linewidth=0.8)
        axes.set_axisbelow(True)
        if len(series) > 1 or line is not None:
            axes.legend(
                loc="upper center",
                bbox_to_anchor=(0.5, -0.45 / (rows * row_inches)),
                ncols=3,
                frameon=False,
                fontsize=9,
                labelcolor=INK,
            )
        if title:
            axes.set_title(title, color=INK, fontsize=11, loc="left")

    head = f"{title}: " if title else ""
    against = f", against {line[0]}" if line else ""
    kinds = f" ({', '.join(series)})" if len(series) > 1 else ""
    told = "; ".join(
        f"{label} {f'{name} ' if name else ''}{in_words(those)}"
        for label, group in groups.items()
        for name, those in group.items()
    )
    return Chart(
        draw,
        height=1.2 + row_inches * rows,
        text=f"[chart] {head}{unit}{kinds} of {', '.join(groups)}{against}",
        alt=f"{head}{unit}: {told}" + (f"; {line[0]} {figure(line[1])}" if line else ""),
    )


def rounds(length: Length) -> list[float]:
    """Return what a length was, each time, from the least to the most."""
    return sorted(length) if isinstance(length, Sequence) else [length]


def in_words(those: Sequence[float]) -> str:
    """Return the median of `those`, with the least and the most if there are several."""
    extremes = f" ({figure(min(those))} to {figure(max(those))})" if len(those) > 1 else ""
    return f"{figure(median(those))}{extremes}"


def figure(value: float) -> str:
    """Return `value` with three digits, or with all before the point if these are more."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def looks(names: Iterable[str]) -> dict[str, int]:
    """Return the place of each name's colour and dashes: its own, or one that is free."""
    free = (number for number in itertools.count() if number not in CAST.values())
    return {name: CAST[name] if name in CAST else next(free) for name in names}


def spread(heights: Mapping[str, float]) -> dict[str, float]:
    """Return `heights` with those moved up that are too near to one below, to write names there."""
    placed: dict[str, float] = {}
    floor = float("-inf")
    order = list(heights)
    for name in sorted(order, key=lambda name: (heights[name], -order.index(name))):
        placed[name] = floor = max(heights[name], floor + GAP)
    return placed
