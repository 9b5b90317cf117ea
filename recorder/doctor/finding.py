"""Findings of the doctor. Pure values."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it works, and somebody should look
    FAILED = "failed"


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was looked at, what was found, and what mends it where it is not well."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str | None = None


def well(name: str, detail: str) -> Finding:
    """Nothing to do."""
    return Finding(name=name, verdict=Verdict.OK, detail=detail)


def warning(name: str, detail: str, remedy: str) -> Finding:
    """Something to look at."""
    return Finding(name=name, verdict=Verdict.WARNING, detail=detail, remedy=remedy)


def failed(name: str, detail: str, remedy: str) -> Finding:
    """Something that does not work."""
    return Finding(name=name, verdict=Verdict.FAILED, detail=detail, remedy=remedy)


def worst(findings: Iterable[Finding]) -> Verdict:
    """The worst of them; ok where there are none."""
    order = list(Verdict)
    return max((finding.verdict for finding in findings), key=order.index, default=Verdict.OK)
