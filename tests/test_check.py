"""`lineage check`: what it prints, its exit codes, its limits, whom it tells."""

from __future__ import annotations

import dataclasses
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from lineage.cli import app
from lineage.stores.parquet import LineageMetadataRepository
from tests.daily import NOW, pipeline
from tests.test_webhook import SECRET, server, status, then


def kept(folder, operations):
    """Keep operations as if the last of them had run today."""
    late = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    moved = late - NOW.replace(hour=4)
    repository = LineageMetadataRepository(folder)
    for operation in operations:
        at = operation.timestamp + moved
        repository.save_operation(dataclasses.replace(operation, timestamp=at))
    repository.close()
    return str(folder)


def lost(step, age, operation):
    if age == 0:
        operation.record_count_in //= 3
        operation.record_count_out //= 3
    return operation


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return kept(tmp_path_factory.mktemp("clean") / "store", pipeline(seed=1))


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return kept(tmp_path_factory.mktemp("broken") / "store", pipeline(seed=1, change=lost))


@pytest.fixture(autouse=True)
def _clean(tmp_path, monkeypatch):
    for variable in [name for name in os.environ if name.startswith("LINEAGE_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "dumb")


def check(*arguments, code=0):
    result = CliRunner().invoke(app, ["check", "--hours", "36", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


# Today may be any day of the week, so that the seasons of these figures are shifted.
QUIET = ("--metric", "freshness", "--metric", "failures", "--metric", "schema")
LOSS = ("--metric", "records_out", "--limit", "records_out=3")


def test_nothing_found_is_zero(clean):
    result = check("--store", clean, *QUIET)
    assert result.stdout == ""
    assert result.stderr.startswith("nothing is out of the ordinary: ")


def test_findings_are_one_and_name_the_cause(broken):
    result = check("--store", broken, *LOSS, code=1)
    head, *rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert head == ["group", "since", "what", "name", "finding", "score", "likely cause"]
    report = next(row for row in rows if row[3] == "file:report")
    assert "records out lower than usual" in report[4]
    assert report[6].startswith("jobs.load: records out lower")
    assert rows[0][0] == report[0] == "1"
    assert rows[0][2:4] == ["function", "jobs.load"]
    assert rows[0][6] == ""


def test_json_holds_the_whole_answer(broken):
    document = json.loads(check("--store", broken, "--json", *LOSS, code=1).stdout)
    assert document["command"] == "check"
    data = document["data"]
    assert data["checked"] > 0
    assert {each["metric"] for each in data["findings"]} == {"records_out"}
    assert data["findings"][-1]["likely_cause"]["function"] == "jobs.load"
    group = data["groups"][0]
    assert group["job"] == group["findings"][0]["subject"] == "jobs.load"
    assert sum(each["total_findings"] for each in data["groups"]) == len(data["findings"])


def test_limits_come_from_options_before_settings(broken, monkeypatch):
    records = ("--metric", "records_out")
    monkeypatch.setenv("LINEAGE_ANOMALY_LIMITS", '{"records_out": 1000}')
    check("--store", broken, *records)
    check("--store", broken, *records, "--limit", "records_out@file:*=3", code=1)
    check("--store", broken, *records, "--limit", "records_out=3", code=1)


def test_on_days_that_the_settings_leave_out_nothing_is_late(tmp_path, monkeypatch):
    rested = kept(
        tmp_path / "store", pipeline(change=lambda _, age, each: each if age > 2 else None)
    )
    check("--store", rested, "--metric", "freshness", code=1)
    today = datetime.now(UTC).date()
    free = [(today + timedelta(days=day)).isoformat() for day in range(-4, 3)]
    limits = {"*:*": {"hours": 24, "holidays": free}}
    monkeypatch.setenv("LINEAGE_FRESHNESS_HOURS", json.dumps(limits))
    check("--store", rested, "--metric", "freshness")


@pytest.mark.parametrize("limit", ["records_out", "volume=3", "records_out=0", "records_out=x", ""])
def test_a_limit_that_cannot_be_used_is_two(clean, limit):
    assert "cannot be used" in check("--store", clean, "--limit", limit, code=2).stderr


@pytest.mark.parametrize(
    "arguments",
    [("--metric", "volume"), ("--detector", "magic"), ("--hours", "0"), ("--webhook", "host")],
)
def test_what_cannot_be_used_is_two(clean, arguments):
    assert check("--store", clean, *arguments, code=2).stderr.startswith("error: ")


def test_what_was_not_judged_is_said(tmp_path):
    young = kept(tmp_path / "store", pipeline(days=10))
    result = check("--store", young)
    assert "not judged, because" in result.stdout
    assert "fewer than 28 days with a figure" in result.stdout


class TestWebhook:
    def test_findings_are_posted(self, broken):
        with server(status(200)) as (url, taken):
            result = check("--store", broken, *LOSS, "--webhook", url, "--allow-private", code=1)
        assert "error" not in result.stderr
        ((_, _, body),) = taken
        told = json.loads(body)
        assert told["event"] == "lineage.anomalies"
        assert told["total_findings"] == len(told["findings"]) > 0
        assert told["total_groups"] == 1
        assert " anomalies of jobs.load in " in told["text"]
        assert told["findings"][-1]["likely_cause"]["function"] == "jobs.load"

    def test_one_finding_is_one(self, broken):
        only = (*LOSS, "--limit", "records_out=1000", "--limit", "records_out@file:report=3")
        with server(status(200)) as (url, taken):
            check("--store", broken, *only, "--webhook", url, "--allow-private", code=1)
        ((_, _, body),) = taken
        assert json.loads(body)["text"].startswith("1 anomaly of jobs.report in ")

    def test_the_settings_name_it_too_and_it_is_tried_again(self, broken, monkeypatch):
        with server(then(status(500), status(200))) as (url, taken):
            monkeypatch.setenv("LINEAGE_WEBHOOK_URL", url)
            monkeypatch.setenv("LINEAGE_WEBHOOK_ALLOW_PRIVATE", "yes")
            check("--store", broken, *LOSS, code=1)
        assert len(taken) == 2

    def test_nothing_found_is_not_posted(self, clean):
        with server(status(200)) as (url, taken):
            check("--store", clean, *QUIET, "--webhook", url, "--allow-private")
        assert taken == []

    def test_a_private_address_is_refused_and_its_secret_not_shown(self, broken):
        with server(status(200)) as (url, taken):
            result = check("--store", broken, *LOSS, "--webhook", url, code=1)
        assert taken == []
        assert "the webhook was not told" in result.stderr
        assert "private address" in result.stderr
        assert SECRET not in result.output

    def test_config_show_hides_it(self, monkeypatch):
        monkeypatch.setenv("LINEAGE_WEBHOOK_URL", f"https://example.org/{SECRET}")
        result = CliRunner().invoke(app, ["config", "show"])
        assert "https://example.org/" in result.stdout
        assert SECRET not in result.output
