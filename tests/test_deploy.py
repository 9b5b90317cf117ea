"""What is shipped for operators is what the programs that read it accept."""

import json
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.support.server import running_server

DEPLOY = Path(__file__).parents[1] / "deploy"
UNIT = DEPLOY / "systemd/bystander.service"
RULES = DEPLOY / "prometheus/bystander.rules.yml"
DASHBOARD = DEPLOY / "grafana/bystander.json"
EXPOSURE_MAX = 2.5  # of 10, as systemd-analyze counts
ALERTS = 16
# What has no value, and so no line, while nothing waits and nothing gets fuller.
AT_TIMES = {"bystander_upload_backlog_seconds", "bystander_spool_disk_full_seconds"}
# Counts of present publishers and running workers, which counters and the disk say better.
UNSHOWN = {
    "bystander_dropped",
    "bystander_packets_lost",
    "bystander_packets_received",
    "bystander_packets_recovered",
    "bystander_worker_spool_bytes",
}


def test_the_unit_is_understood_and_gives_little_away() -> None:
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX * 10:.0f}", str(UNIT)],
        capture_output=True,
        text=True,
    )
    assert judged.returncode == 0, judged.stdout[-2000:] + judged.stderr
    assert not judged.stderr, judged.stderr  # what it does not understand it says here


def metrics_of(text: str) -> set[str]:
    """The names of metrics in PromQL, without what histograms add to theirs."""
    names = re.findall(r"\b(?:bystander|process)_[a-z_]+", text)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def judged_by_promtool(*arguments: str) -> str:
    judged = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    return judged.stdout


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all metrics of a real server."""
    with (
        running_server(tmp_path_factory.mktemp("scraped")) as server,
        urllib.request.urlopen(f"{server.base_url}/metrics") as answer,
    ):
        text = answer.read().decode()
    judged = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert judged.returncode in (0, 3), judged.stderr  # 3: a matter of style
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    return {name for name in names if not name.endswith("_created")}


def test_the_alerts_go_off_where_everything_is_wrong_and_nowhere_else() -> None:
    assert f"{ALERTS} rules found" in judged_by_promtool("check", "rules", str(RULES))
    judged_by_promtool("test", "rules", str(RULES.with_name("bystander.tests.yml")))


@pytest.mark.parametrize("file", [RULES, DASHBOARD], ids=["alerts", "dashboard"])
def test_every_metric_that_is_asked_for_exists(file: Path, scraped: set[str]) -> None:
    asked = metrics_of(file.read_text())
    assert len(asked) > 10
    assert asked - scraped - AT_TIMES == set()


def test_every_metric_of_ours_is_shown(scraped: set[str]) -> None:
    ours = {name for name in scraped if name.startswith("bystander_")}
    assert ours - metrics_of(DASHBOARD.read_text()) == UNSHOWN


def test_the_dashboards_queries_are_promql(tmp_path: Path) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    plain = [query.replace("$__rate_interval", "5m").replace("$instance", ".*") for query in queries]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(plain)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    assert f"{len(queries)} rules found" in judged_by_promtool("check", "rules", "--lint=none", str(file))
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
