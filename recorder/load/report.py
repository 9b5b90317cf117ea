"""The report of a load: a table for people, JSON for programs."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from recorder.load.call import Outcome
from recorder.load.sampling import Sample
from recorder.load.verdict import Timing

FULL = 0.95  # of all cores of the host that publishes


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One load: `offered` calls of a profile, what became of each, what it took."""

    profile: str
    offered: int
    seconds: float
    loss: float
    jitter_s: float
    outcomes: list[Outcome]
    samples: list[Sample]
    dropped: dict[str, float]  # by reason, counted by the server meanwhile

    @property
    def recorded(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.verdict is not None]

    @property
    def is_good(self) -> bool:
        """Whether every call that was taken kept every promise."""
        return bool(self.recorded) and all(
            outcome.is_good for outcome in self.outcomes if not outcome.refused
        )

    @property
    def reasons(self) -> Counter[str]:
        """What gave way, and in how many calls."""
        found: Counter[str] = Counter()
        for outcome in self.outcomes:
            if outcome.refused:
                found[f"refused: {outcome.refused}"] += 1
            elif outcome.failed:
                found[f"failed: {outcome.failed}"] += 1
            elif outcome.verdict is not None:
                found.update(outcome.verdict.reasons)
        return found


def as_json(report: Report) -> bytes:
    """All of it; times in seconds, NaN as null."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def as_table(report: Report) -> str:
    """A few lines: one for each figure, with its middle and its worst."""
    recorded = report.recorded
    good = sum(outcome.is_good for outcome in recorded)
    lines = [
        f"{report.profile}: {report.offered} calls of {report.seconds:.0f} s: {len(recorded)} recorded, "
        f"{good} with every promise kept",
        *(
            f"  {name:<28} p50 {middle:>9}   p95 {high:>9}   worst {worst:>9}"
            for name, middle, high, worst in figures(report)
        ),
        *(f"  {name:<28} {value}" for name, value in taken(report)),
        *(f"  {count} x {reason}" for reason, count in report.reasons.most_common()),
    ]
    return "\n".join(lines)


def figures(report: Report) -> list[tuple[str, str, str, str]]:
    """Name, middle, 95th percentile and worst of what was measured in each call."""
    timings = [outcome.timing for outcome in report.recorded if outcome.timing is not None]
    verdicts = [outcome.verdict for outcome in report.recorded if outcome.verdict is not None]

    def of_timing(name: str, value: Callable[[Timing], float]) -> tuple[str, str, str, str]:
        return _figure(name, [value(timing) * 1e3 for timing in timings], "ms")

    shown = [100 * verdict.found / verdict.expected for verdict in verdicts if verdict.expected]
    return [
        of_timing("asked to entry point", lambda timing: timing.start_s),
        of_timing("offer to connection", lambda timing: timing.connect_s),
        of_timing("connection to first media", lambda timing: timing.first_media_s),
        of_timing("stopped to available", lambda timing: timing.available_s),
        _figure("pictures found of sent", shown, "%", worst=min),
        _figure("longest gap", [verdict.gap_s * 1e3 for verdict in verdicts], "ms"),
        _figure("sound to picture, p95", [verdict.offset_p95_s * 1e3 for verdict in verdicts], "ms"),
        _figure("sound to picture, max", [verdict.offset_max_s * 1e3 for verdict in verdicts], "ms"),
    ]


def taken(report: Report) -> list[tuple[str, str]]:
    """Name and value of what it took: CPU and memory while all calls were held, size."""
    busiest = max((sample.calls for sample in report.samples), default=0)
    held = [sample for sample in report.samples if sample.calls == busiest]
    size = sum(outcome.bytes for outcome in report.recorded)
    length_s = sum(outcome.duration_s for outcome in report.recorded)
    rows = [("size", f"{size * 60 / length_s / 1e6:.2f} MB a minute" if length_s else "-")]
    if any(sample.server_bytes for sample in held) and busiest:
        mean = {
            name: float(np.mean([getattr(sample, name) for sample in held]))
            for name in ("worker_cores", "worker_bytes", "server_cores", "server_bytes", "publisher_cores")
        }
        rows += [
            ("CPU of each recording", f"{mean['worker_cores'] / busiest:.3f} core"),
            ("memory of each recording", f"{mean['worker_bytes'] / busiest / 1e6:.0f} MB"),
            ("CPU of the server", f"{mean['server_cores']:.3f} core"),
            ("memory of the server", f"{mean['server_bytes'] / 1e6:.0f} MB"),
            ("CPU of the publishers", f"{mean['publisher_cores']:.3f} core"),
        ]
    if any(sample.machine_busy > FULL for sample in held):
        rows.append(("this machine was full", "its publishers are late then, and the verdict is theirs, too"))
    rows += [
        (f"dropped: {reason}", f"{count:.0f}") for reason, count in sorted(report.dropped.items()) if count
    ]
    return rows


def _figure(name: str, values: list[float], unit: str, worst: Any = max) -> tuple[str, str, str, str]:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return name, "-", "-", "-"
    percent = 5 if worst is min else 95
    shown = (float(np.percentile(known, 50)), float(np.percentile(known, percent)), worst(known))
    return (name, *(f"{value:.1f} {unit}" for value in shown))  # type: ignore[return-value]
