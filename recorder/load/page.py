"""The page of a load: figures and plots in one HTML file that needs nothing else."""

import html
import math
from collections.abc import Callable, Mapping, Sequence

from recorder.load.call import Outcome
from recorder.load.report import Report, figures, taken
from recorder.load.sampling import Sample

_WIDTH, _HEIGHT, _MARGIN = 640, 180, 40
_NAMES_WIDTH = 70


def as_page(reports: Sequence[Report]) -> str:
    """Every load with its figures and plots, and, where there are several, the same over their sizes."""
    parts = [_over_sizes(reports)] if len(reports) > 1 else []
    return _PAGE.replace("BODY", "".join([*parts, *(_section(report) for report in reports)]))


def _section(report: Report) -> str:
    kind, said = ("good", "every promise kept") if report.is_good else ("bad", "not good")
    why = "".join(
        f"<li>{count} &times; {html.escape(reason)}" for reason, count in report.reasons.most_common()
    )
    return (
        f"<section><h2>{html.escape(report.profile)}: {report.offered} calls "
        f"<span class={kind}>{said}</span></h2>{_table(report)}"
        f"<ul>{why}</ul>{_plots(report.samples)}</section>"
    )


def _table(report: Report) -> str:
    rows = [
        f"<tr><th>{html.escape(name)}<td>{middle}<td>{high}<td>{worst}</tr>"
        for name, middle, high, worst in figures(report)
    ]
    rows += [
        f"<tr><th>{html.escape(name)}<td colspan=3>{html.escape(value)}</tr>" for name, value in taken(report)
    ]
    return f"<table><tr><th><th>p50<th>p95<th>worst</tr>{''.join(rows)}</table>"


def _plots(samples: Sequence[Sample]) -> str:
    at = [sample.at_s for sample in samples]
    cores = {
        "recordings": [sample.worker_cores for sample in samples],
        "server": [sample.server_cores for sample in samples],
        "publishers": [sample.publisher_cores for sample in samples],
    }
    memory = {
        "recordings": [sample.worker_bytes / 1e6 for sample in samples],
        "server": [sample.server_bytes / 1e6 for sample in samples],
    }
    calls = {"calls": [float(sample.calls) for sample in samples]}
    return _plot("CPU, cores", at, cores) + _plot("memory, MB", at, memory) + _plot("calls", at, calls)


def _over_sizes(reports: Sequence[Report]) -> str:
    ordered = sorted(reports, key=lambda report: report.offered)
    sizes = [float(report.offered) for report in ordered]

    def worst(of: Callable[[Outcome], float]) -> list[float]:
        return [max((of(outcome) for outcome in report.recorded), default=math.nan) for report in ordered]

    starts = worst(lambda outcome: outcome.timing.start_s * 1e3 if outcome.timing else math.nan)
    offsets = worst(lambda outcome: outcome.verdict.offset_p95_s * 1e3 if outcome.verdict else math.nan)
    cores = [max((sample.worker_cores for sample in report.samples), default=0.0) for report in ordered]
    memory = [
        max((sample.worker_bytes / 1e6 for sample in report.samples), default=0.0) for report in ordered
    ]
    return (
        "<section><h2>By number of calls</h2>"
        + _plot("worst asked to entry point, ms", sizes, {"start": starts})
        + _plot("worst p95 of sound to picture, ms", sizes, {"offset": offsets})
        + _plot("CPU of all recordings, cores", sizes, {"cores": cores})
        + _plot("memory of all recordings, MB", sizes, {"memory": memory})
        + "</section>"
    )


def _plot(title: str, at: Sequence[float], lines: Mapping[str, Sequence[float]]) -> str:
    """A plot as SVG; each line has a colour and a dash of its own, and its name beside it."""
    top = (
        max([value for line in lines.values() for value in line if not math.isnan(value)], default=0.0) or 1.0
    )
    last = max(at, default=0.0) or 1.0
    floor, right = _HEIGHT - _MARGIN / 2, _WIDTH - _MARGIN
    drawn = []
    for number, (name, line) in enumerate(lines.items()):
        points = " ".join(
            f"{_MARGIN + x / last * (right - _MARGIN):.1f},{floor - y / top * (_HEIGHT - _MARGIN):.1f}"
            for x, y in zip(at, line, strict=True)
            if not math.isnan(y)
        )
        drawn.append(f'<polyline class="l{number}" points="{points}"/>')
        drawn.append(
            f'<text class="l{number}" x="{right + 4}" y="{20 + 16 * number}">{html.escape(name)}</text>'
        )
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH + _NAMES_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f'<path class="axis" d="M{_MARGIN},{_MARGIN / 2} V{floor} H{right}"/>'
        f'<text x="2" y="{_MARGIN / 2 + 4}">{top:.3g}</text><text x="2" y="{floor}">0</text>'
        f'<text x="{right - 30}" y="{_HEIGHT - 4}">{last:.3g}</text>{"".join(drawn)}</svg></figure>'
    )


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Bystander under load</title><style>
:root { color-scheme: light dark; --ink: #1c2330; --paper: #fff; --faint: #6b7482;
  --a: #0a66c2; --b: #b4540a; --c: #2e7d32 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --paper: #14181f; --faint: #9aa3b2;
  --a: #6db3f2; --b: #f0a060; --c: #7ccf82 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; font-weight: normal }
td { text-align: right } td[colspan] { text-align: left }
figure { margin: 1rem 0 } svg { width: 100%; max-width: 46rem }
.good { color: var(--c) } .bad { color: var(--b) }
text { font-size: 12px; fill: var(--faint) } .axis { fill: none; stroke: var(--faint) }
polyline { fill: none; stroke-width: 2 }
.l0 { stroke: var(--a) } .l1 { stroke: var(--b); stroke-dasharray: 6 3 }
.l2 { stroke: var(--c); stroke-dasharray: 2 2 }
text.l0 { fill: var(--a); stroke: none } text.l1 { fill: var(--b); stroke: none }
text.l2 { fill: var(--c); stroke: none }
</style><h1>Bystander under load</h1>BODY</html>
"""
