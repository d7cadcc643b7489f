"""Each metric, label and value that a dashboard or a rule asks for is one that /metrics tells."""

import json
import re
from pathlib import Path

import pytest

from accounts.errors import TABLE
from billing.models import Account, Transaction
from console.observability.metrics import catalog
from generation.models import State

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
BOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
SERIES = {name: family for family in catalog.FAMILIES for name in family.series}
# What Prometheus adds itself.
ADDED = {"job", "instance"}
SELECTOR = re.compile(r"\b(backlot_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|without|ignoring|on)\s*\(([^)]*)\)")
# Values of labels that are words of a table here; a dashboard that asks for another would be empty for ever.
KNOWN = {
    ("backlot_jobs_open", "state"): set(State.values),
    ("backlot_jobs_ended_total", "state"): set(State.values),
    ("backlot_api_errors_total", "code"): set(TABLE),
    ("backlot_ledger_credits_total", "transaction"): set(Transaction.Kind.values),
    ("backlot_ledger_credits_total", "account"): set(Account.Kind.values),
    ("backlot_workers", "state"): {"run", "drain", "restart", "quarantine", "silent"},
}


def panels(board: Path) -> list[dict]:
    return [panel for panel in json.loads(board.read_text())["panels"] if panel["type"] != "row"]


def asked() -> list[tuple[str, str, str]]:
    """(where, expression, legend) of every dashboard and rule."""
    found = [
        (f"{board.name}: {panel['title']}", target["expr"], target["legendFormat"])
        for board in BOARDS
        for panel in panels(board)
        for target in panel["targets"]
    ]
    rules = (DEPLOY / "prometheus" / "rules.yml").read_text()
    parts = re.split(r"^\s+- alert: ", rules, flags=re.MULTILINE)[1:]
    for part in parts:
        expression = re.search(r"^\s+expr: ?(\|\n(?:\s{10,}.*\n)+|.*\n)", part, re.MULTILINE).group(1)
        summary = " ".join("{{" + name + "}}" for name in re.findall(r"\{\{ \$labels\.(\w+) \}\}", part))
        found.append((f"rules.yml: {part.splitlines()[0]}", expression, summary))
    return found


ASKED = asked()


def test_there_are_dashboards_and_rules():
    assert [board.stem for board in BOARDS] == ["lanes", "money", "overview", "safety"]
    assert sum(where.startswith("rules.yml") for where, _, _ in ASKED) >= 8
    assert len(ASKED) > 60


@pytest.mark.parametrize(
    ("where", "expression", "legend"), ASKED, ids=[one[0] + one[1][:40] for one in ASKED]
)
def test_what_is_asked_for_is_told(where, expression, legend):
    labels = set(ADDED)
    for name, matchers in SELECTOR.findall(expression):
        assert name in SERIES, f"{where}: {name} is no metric of ours"
        has = {*SERIES[name].all_labels, *ADDED}
        labels |= has
        for label, operator, value in MATCHER.findall(matchers):
            assert label in has, f"{where}: {name} has no label {label}"
            known = KNOWN.get((name, label))
            if known and operator in ("=", "=~", "!="):
                assert set(value.split("|")) <= known, f"{where}: {label} is never {value}"
    for group in GROUPING.findall(expression):
        asked_for = {name.strip() for name in group.split(",") if name.strip()}
        assert asked_for <= labels, f"{where}: grouped by {asked_for - labels}"
    grouped = {
        name.strip() for group in re.findall(r"\bby\s*\(([^)]*)\)", expression) for name in group.split(",")
    }
    shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
    assert shown <= grouped, f"{where}: the legend shows {shown - grouped}"


def test_every_metric_is_on_a_dashboard_or_in_a_rule():
    """What nobody looks at need not be told."""
    looked_at = {SERIES[name].key for _, expression, _ in ASKED for name, _ in SELECTOR.findall(expression)}
    assert {family.key for family in catalog.FAMILIES} - looked_at == {"models"}


def test_panels_lie_beside_one_another_and_have_words():
    for board in BOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in panels(board):
            assert panel["title"]
            assert panel["description"]
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, f"{board.name}: {panel['title']} lies over another"
            assert place["x"] + place["w"] <= 24
            taken |= cells


def test_dashboards_have_ids_of_their_own_and_a_source_to_choose():
    read = [json.loads(board.read_text()) for board in BOARDS]
    assert len({board["uid"] for board in read}) == len(read)
    for board in read:
        assert [one["name"] for one in board["templating"]["list"]] == ["source"]
        assert all(
            panel["datasource"]["uid"] == "${source}" for panel in board["panels"] if panel["type"] != "row"
        )
