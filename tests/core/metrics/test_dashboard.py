"""The dashboard for Grafana: it asks for nothing that `/metrics` does not give."""

import json
import re
from pathlib import Path

import pytest
from guests import play
from scrape import Scrape

DASHBOARD = json.loads((Path(__file__).parents[3] / "deploy/grafana-rooms.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [
    (f"{panel['title']} {target['refId']}", target["expr"])
    for panel in PANELS
    for target in panel["targets"]
]
SELECTOR = '{job=~"$job",instance=~"$instance"}'


@pytest.fixture(scope="module")
def found():
    scrapes = []

    async def scenario(house):
        scrapes.append(Scrape((await house.http.get("/metrics")).text))

    play(scenario)
    return scrapes[0]


def names_in(expression):
    return re.findall(r"chatlib_\w+", expression)


@pytest.mark.parametrize(("which", "expression"), EXPRESSIONS, ids=dict(EXPRESSIONS))
def test_a_panel_asks_for_what_there_is(found, which, expression):
    names = names_in(expression)
    assert names
    assert set(names) <= found.names
    assert expression.count(SELECTOR) == len(names)
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)
    assert "#" not in expression


@pytest.mark.parametrize(("which", "expression"), EXPRESSIONS, ids=dict(EXPRESSIONS))
def test_of_what_only_grows_the_rate_is_shown_and_of_nothing_else(found, which, expression):
    grows = {key[0] for key in found.totals()}
    for name in names_in(expression):
        rated = f"rate({name}{SELECTOR}[$__rate_interval])" in expression
        assert rated == (name in grows)


@pytest.mark.parametrize(("which", "expression"), EXPRESSIONS, ids=dict(EXPRESSIONS))
def test_labels_that_are_grouped_by_are_those_of_the_metric(found, which, expression):
    labels = set()
    for sample in found.samples:
        if sample.name in names_in(expression):
            labels |= set(sample.labels)
    for grouped in re.findall(r" by \(([\w, ]+)\)", expression):
        assert set(grouped.split(", ")) <= labels


def test_every_figure_is_in_a_panel(found):
    shown = {name for _, expression in EXPRESSIONS for name in names_in(expression)}
    assert found.names - shown == set()


def test_the_legends_name_labels_that_the_expression_leaves():
    for panel in PANELS:
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert re.search(rf" by \([\w, ]*\b{label}\b", target["expr"])


def test_it_has_what_grafana_needs():
    assert DASHBOARD["title"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", DASHBOARD["uid"])
    assert DASHBOARD["schemaVersion"] >= 36
    assert "id" not in DASHBOARD  # Grafana gives it
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert variables["job"]["datasource"] == variables["instance"]["datasource"] == source
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == source
        assert all(target["datasource"] == source for target in panel["targets"])


def test_no_two_panels_lie_on_each_other():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + across, place["y"] + down)
            for across in range(place["w"])
            for down in range(place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
