"""Findings that belong together: those of one job, and of what is below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from lineage.analysis.anomalies import Cause, Finding

_KINDS = ("function", "node", "edge")
_OF_CAUSE = ("metric", "kind", "subject", "function", "operation_id", "since", "message")


class Group(TypedDict):
    """A job whose figures departed, and all findings that it is the likely cause of.

    `root_cause` is what departed first: one of the findings, or, where that was before the time
    judged, none of them. Findings of that job come first, then the others as they departed.
    """

    job: str
    root_cause: Cause
    total_findings: int
    findings: list[Finding]


def grouped(findings: Iterable[Finding]) -> list[Group]:
    """Put each finding under the job that departed first: its likely cause's, or else its own.

    A job is a function, or what was found where none is known. One late job is seen at its
    function, at each node that it writes, and further down; here it is one group.

    Args:
        findings: Of `find_anomalies`.
    """
    under: dict[str, list[Finding]] = {}
    for finding in findings:
        under.setdefault(_job(finding["likely_cause"] or finding), []).append(finding)
    groups = [_group(job, own) for job, own in under.items()]
    return sorted(groups, key=lambda each: (each["root_cause"]["since"], each["job"]))


def _group(job: str, findings: list[Finding]) -> Group:
    roots = [each["likely_cause"] or _cause(each) for each in findings]
    return {
        "job": job,
        "root_cause": min(roots, key=_order),
        "total_findings": len(findings),
        "findings": sorted(findings, key=lambda each: (_job(each) != job, *_order(each))),
    }


def _job(found: Mapping[str, Any]) -> str:
    return str(found["function"] or found["subject"])


def _cause(finding: Mapping[str, Any]) -> Cause:
    found: Any = {name: finding[name] for name in _OF_CAUSE}
    return found  # type: ignore[no-any-return]  # a finding has all that a cause has


def _order(found: Mapping[str, Any]) -> tuple[Any, ...]:
    kind = _KINDS.index(found["kind"])
    return found["since"], _job(found), kind, found["subject"], found["metric"]
