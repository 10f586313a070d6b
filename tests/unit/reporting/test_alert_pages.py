"""What is generated from the table of alert rules: the page, and rules that Prometheus itself takes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from btcbot.decisions.alert_rules import RULES
from btcbot.domain.alerts import AlertRule, page_of
from btcbot.metric_catalogue import CATALOGUE, MetricKind
from btcbot.reporting.alert_pages import PAGES, alerts_page, expression, prometheus_rules

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "prometheus"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt install prometheus)"
)


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_the_committed_file_is_what_the_table_gives(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path](), "run python -m btcbot.reporting.alert_pages"


def test_every_rule_stands_on_the_page_and_in_the_rules() -> None:
    page, rules = alerts_page(), prometheus_rules()
    for rule in RULES:
        assert f"| [`{rule.name}`](../how-to/woken-at-night.md#{rule.name}) | {rule.severity.value} |" in page
        assert f"- alert: btcbot_{rule.name}\n" in rules


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_leads_to_a_heading_that_is_really_there(rule: AlertRule) -> None:
    """Whoever is woken is sent to a place on a page, not to a page of three hundred lines."""
    page, anchor = page_of(rule.name).split("#")
    headings = [line.lstrip("#").strip() for line in (ROOT / page).read_text(encoding="utf-8").splitlines()
                if line.startswith("#")]  # fmt: skip
    assert anchor in [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert f'runbook: "{page}#{anchor}"' in prometheus_rules()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_prometheus_is_asked_for_series_that_the_exporter_shows(rule) -> None:
    text = expression(rule)
    if CATALOGUE[rule.series.metric].kind is MetricKind.HISTOGRAM:
        assert f"{rule.series.metric}_bucket" in text or f"{rule.series.metric}_count" in text
    else:
        assert rule.series.key in text


@needs_promtool
def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    rules = tmp_path / "btcbot.rules.yml"
    rules.write_text(prometheus_rules(), encoding="utf-8")
    said = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr
    assert f"SUCCESS: {len(RULES)} rules found" in said.stdout


@needs_promtool
def test_promtool_finds_that_the_rules_fire_when_they_should(tmp_path: Path) -> None:
    (tmp_path / "btcbot.rules.yml").write_text(prometheus_rules(), encoding="utf-8")
    shutil.copy(FOLDER / "btcbot.rules.test.yml", tmp_path)
    call = ["promtool", "test", "rules", "btcbot.rules.test.yml"]
    said = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stdout + said.stderr


@needs_promtool
def test_promtool_finds_a_rule_that_no_longer_fires(tmp_path: Path) -> None:
    """The tests of the rules can fail: a halt that nobody is told of is found."""
    broken = prometheus_rules().replace('state=\\"HALTED\\"', 'state=\\"ASLEEP\\"')
    assert broken != prometheus_rules()
    (tmp_path / "btcbot.rules.yml").write_text(broken, encoding="utf-8")
    shutil.copy(FOLDER / "btcbot.rules.test.yml", tmp_path)
    call = ["promtool", "test", "rules", "btcbot.rules.test.yml"]
    assert subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=60).returncode != 0
