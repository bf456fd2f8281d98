"""Whether anything is out of the ordinary: check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.cli.command import FINDING, command
from lineage.cli.output import Table, note
from lineage.cli.session import Session  # noqa: TC001 - typer reads the annotations
from lineage.errors import ConfigError
from lineage.limits import METRICS
from lineage.redact import redact_row, redact_text

if TYPE_CHECKING:
    from lineage.config import LineageConfig
    from lineage.webhook import Webhook

_MOST_TOLD, _MOST_NAMED = 100, 3
_RIGHT = frozenset({"group", "score", "limit", "count"})


Back = Annotated[float, typer.Option("--hours", help="How far back findings count; 168 at most.")]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", help=f"Judge only this, of {', '.join(METRICS)}; repeatable."),
]
LimitTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="METRIC=N",
        help="Usual deviations from which a figure counts; METRIC@PATTERN=N for some sources or "
        "functions; repeatable. Else anomaly_limits says.",
    ),
]
DetectorName = Annotated[
    str, typer.Option("--detector", help="robust, or learned (needs scikit-learn).")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--webhook",
        metavar="URL",
        help="Where findings are posted as JSON. Others can read the options of a running "
        "program: a URL with a secret belongs into LINEAGE_WEBHOOK_URL.",
    ),
]
AllowPrivate = Annotated[
    bool, typer.Option("--allow-private", help="Post to private addresses too.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, is_question=True)(check)


def check(
    session: Session,
    *,
    hours: Back = 24.0,
    metric: Metrics = None,
    limit: LimitTexts = None,
    detector: DetectorName = "robust",
    webhook: Address = None,
    allow_private: AllowPrivate = False,
) -> None:
    """Find records, durations, failures, schemas and delays that are not as usual.

    Each stands in the group of the job that departed first, the root cause at the top. On days
    that freshness_hours leaves out nothing is late. The exit code is 1 when there is any.
    """
    config = session.config
    hook = _webhook(config, webhook, allow_private=allow_private)
    given = _limits(limit or ())
    limits = given | {key: each for key, each in config.anomaly_limits.items() if key not in given}
    answer: Any = session.ask(
        lambda engine: engine.find_anomalies(
            hours=hours,
            metrics=metric or METRICS,
            limits=limits,
            detector=detector,  # type: ignore[arg-type]  # the engine says which there are
            calendars=config.freshness_hours,
        )
    )
    findings, groups = redact_row(answer["findings"]), redact_row(answer["groups"])
    whole = {**answer, "findings": findings, "groups": groups}
    session.show(whole, *_tables(answer, groups))
    if findings:
        if hook is not None:
            _tell(hook, _document(session, whole))
        raise typer.Exit(FINDING)


def _limits(texts: Any) -> dict[str, Any]:
    """Read `METRIC=N` and `METRIC@PATTERN=N`."""
    found: dict[str, Any] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        metric, _, pattern = name.partition("@")
        try:
            value = float(number)
        except ValueError:
            value = 0.0
        if metric not in METRICS or not value > 0:
            raise ConfigError(
                f"--limit {text!r} cannot be used; give METRIC=N or METRIC@PATTERN=N, with N "
                f"above 0 and a metric of {', '.join(METRICS)}"
            )
        if pattern:
            found.setdefault(pattern, {})[metric] = value
        else:
            found[metric] = value
    return found


def _webhook(config: LineageConfig, url: str | None, *, allow_private: bool) -> Webhook | None:
    url = url or config.webhook_url
    if not url:
        return None
    from lineage.webhook import Webhook

    return Webhook(url, allow_private=allow_private or config.webhook_allow_private)


def _tell(hook: Webhook, document: dict[str, Any]) -> None:
    """Post the findings; say so when that fails, and keep the exit code of a finding."""
    from lineage.webhook import WebhookError

    try:
        hook.send(document)
    except WebhookError as error:
        note(f"error: the webhook was not told: {error}")


def _document(session: Session, answer: Any) -> dict[str, Any]:
    """Make what is posted: plain JSON, times as ISO 8601, bounded in size."""
    findings = [each for group in answer["groups"] for each in group["findings"]]
    many = "1 anomaly" if len(findings) == 1 else f"{len(findings):,} anomalies"
    told = f"{many} of {_jobs(answer['groups'])}"
    return {
        "schema_version": 1,
        "event": "lineage.anomalies",
        "text": f"{told} in {redact_text(session.url)}",
        "start": answer["start"].isoformat(),
        "end": answer["end"].isoformat(),
        "checked": answer["checked"],
        "is_whole": answer["is_whole"],
        "not_judged_by_reason": answer["not_judged_by_reason"],
        "total_findings": len(findings),
        "total_groups": len(answer["groups"]),
        "findings": [_plain(each) for each in findings[:_MOST_TOLD]],
    }


def _jobs(groups: list[Any]) -> str:
    """Name the jobs that departed first."""
    names = [group["job"] for group in groups]
    return ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.isoformat() if hasattr(value, "isoformat") else value


def _tables(answer: Any, groups: list[Any]) -> list[Table]:
    rows = [
        (
            number,
            each["since"],
            each["kind"],
            each["subject"],
            each["message"],
            each["score"],
            _because(each["likely_cause"]),
        )
        for number, group in enumerate(groups, 1)
        for each in group["findings"]
    ]
    empty = f"nothing is out of the ordinary: {answer['checked']:,} checks"
    columns = ("group", "since", "what", "name", "finding", "score", "likely cause")
    tables = [Table(columns, rows, empty=empty, right=_RIGHT)]
    reasons = list(answer["not_judged_by_reason"].items())
    if reasons:
        head = ("not judged, because", "count")
        tables.append(Table(head, reasons, right=_RIGHT))
    return tables


def _because(cause: Any) -> str:
    if cause is None:
        return ""
    return f"{cause['function'] or cause['subject']}: {cause['message']}"
