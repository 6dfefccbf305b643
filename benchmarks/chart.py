"""The chart of what a delivery costs."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

matplotlib.use("Agg")


def save_chart(
    costs: dict[tuple[str, int, int], float],
    labels: list[str],
    numbers: list[int],
    flights: list[int],
    path: Path,
) -> None:
    """Draw the costs by candidate, clients and messages in flight, as a PNG at `path`."""
    chart = Figure(figsize=(11, 5.5), layout="constrained")
    panels = chart.subplots(1, len(flights), sharex=True, sharey=True)
    height = 0.8 / len(numbers)
    shades = ["#b7c9e2", "#5b8fd0", "#1d4e89"]
    for panel, flight in zip(panels, flights, strict=True):
        for place, number in enumerate(numbers):
            values = [costs[label, number, flight] for label in labels]
            rows = [row + place * height for row in range(len(labels))]
            bars = panel.barh(
                rows, values, height, label=f"{number} clients", color=shades[place % 3]
            )
            panel.bar_label(bars, fmt="%.2f", fontsize=7, padding=2)
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.set_title(f"{flight} in flight")
        panel.set_xlabel("µs of server CPU for each delivery of 100 bytes")
        panel.margins(x=0.15)
        panel.spines[["top", "right"]].set_visible(False)
    names = [label.replace("`", "") for label in labels]
    panels[0].set_yticks([row + 0.4 - height / 2 for row in range(len(labels))], names)
    panels[0].invert_yaxis()
    bars_of = panels[0].get_legend_handles_labels()
    chart.legend(*bars_of, loc="outside upper right", ncols=len(numbers), frameon=False)
    chart.savefig(path, dpi=130)
