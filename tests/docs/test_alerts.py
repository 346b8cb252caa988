"""docs/alerts.yaml: rules of Prometheus' form, over metrics, labels and outcomes that the code has."""

import re
from pathlib import Path
from typing import Any

import yaml

from tikval.flow.observe import METRICS
from tikval.rows import Reason

FILE = Path(__file__).parents[2] / "docs" / "alerts.yaml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
]
TAGS = {f"ray_{metric.name}_total": set(metric.tags) for metric in METRICS}
SELECTOR = re.compile(r"(\w+)(?:\{([^}]*)\})?\[\d+[smh]\]")


def test_a_rule_has_what_prometheus_asks_for() -> None:
    assert RULES
    for rule in RULES:
        assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"[A-Z]\w+", rule["alert"])
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert "summary" in rule["annotations"]


def test_metrics_labels_and_outcomes_are_those_of_the_code() -> None:
    seen = set()
    for rule in RULES:
        for metric, matchers in SELECTOR.findall(rule["expr"]):
            seen.add(metric)
            assert metric in TAGS, f"{rule['alert']}: no metric {metric}"
            for label, values in re.findall(r'(\w+)(?:!=|=~|=)"([^"]*)"', matchers):
                assert label in TAGS[metric], f"{rule['alert']}: {metric} has no label {label}"
                assert set(values.split("|")) <= {"ok", *Reason}, f"{rule['alert']}: {values}"
        grouped = {
            word for words in re.findall(r"by \(([^)]*)\)", rule["expr"]) for word in words.split(", ")
        }
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert shown <= grouped <= set.union(*TAGS.values())
    assert seen, "no rule reads a metric"


def test_the_page_names_the_metrics() -> None:
    page = (FILE.parent / "day.md").read_text(encoding="utf-8")
    assert [name for name in TAGS if name not in page] == []
