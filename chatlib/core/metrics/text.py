"""The figures of one process in Prometheus' text format, by prometheus-client."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from chatlib.core.metrics.figures import Figure, Values
from chatlib.core.times import Times, name_of_bound

Figures = Mapping[Figure, Values | Times]


class Collected:
    """A collector of metrics that are there already. prometheus-client asks it for them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self.metrics


def text_of(metrics: Iterable[Metric]) -> bytes:
    """Return `metrics` as text."""
    return generate_latest(Collected(metrics))


def text_alone(figures: Figures) -> bytes:
    """Return the figures of this process, and with them what is in the ordinary registry.

    That has what an app counts by itself, and what prometheus-client tells of any process: its
    memory, its CPU time, its files.
    """
    return text_of([*metrics_of(figures), *REGISTRY.collect()])


def metrics_of(figures: Figures) -> Iterator[Metric]:
    """Make metrics of the figures."""
    for figure, values in figures.items():
        if isinstance(values, Times):
            buckets = [(name_of_bound(most), n) for most, n in values.up_to().items()]
            yield HistogramMetricFamily(figure.name, figure.help, buckets, values.seconds)
            continue
        kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
        metric = kind(figure.name, figure.help, labels=figure.labels)
        for labels, value in values.items():
            metric.add_metric(labels, value)
        yield metric
