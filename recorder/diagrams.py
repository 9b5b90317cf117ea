"""State diagrams of docs, drawn from the tables: `python -m recorder.diagrams docs/lifecycle.md`.

A page has places for them, `<!-- states: NAME -->` up to `<!-- end of states -->`; what stands between is
replaced. A test holds every page current.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from recorder.recording.events import Phase
from recorder.recording.state_machine import TABLE as RECORDING
from recorder.supervision.state_machine import TABLE as SUPERVISION
from recorder.supervision.state_machine import Stage
from storage.upload_plan.state import MOVES as UPLOAD
from storage.upload_plan.state import Phase as UploadPhase

Move = tuple[str, str, str]
"""From a state, by an event, to a state."""

_PLACE = re.compile(r"(<!-- states: (\w+) -->\n).*?(<!-- end of states -->)", re.DOTALL)


def mermaid(moves: Iterable[Move], first: str) -> str:
    """The moves as a Mermaid state diagram that begins in `first`; what leads nowhere else is left out."""
    events: dict[tuple[str, str], list[str]] = {}
    for source, event, target in moves:
        if source != target:
            events.setdefault((source, target), []).append(event)
    lines = [f"    {source} --> {target}: {', '.join(names)}" for (source, target), names in events.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *lines, "```", ""])


def supervision() -> str:
    """The supervision of a conversation."""
    rows = SUPERVISION.items()
    moves = ((stage.value, event.__name__, to.value) for (stage, event), row in rows for to in row.to)
    return mermaid(moves, Stage.IDLE)


def recording() -> str:
    """The life of one recording."""
    rows = RECORDING.items()
    moves = ((phase.value, event.__name__, to.value) for (phase, event), row in rows for to in row.to)
    return mermaid(moves, Phase.CHECKING)


def upload() -> str:
    """The upload of one recording."""
    moves = ((phase.value, outcome.value, to.value) for (phase, outcome), to in UPLOAD.items())
    return mermaid(moves, UploadPhase.SENDING)


DIAGRAMS: Mapping[str, Callable[[], str]] = {
    "supervision": supervision,
    "recording": recording,
    "upload": upload,
}


def drawn(page: str) -> str:
    """The page with each of its diagrams as the tables are now."""
    return _PLACE.sub(lambda place: f"{place[1]}{DIAGRAMS[place[2]]()}{place[3]}", page)


def main(pages: Iterable[str]) -> None:
    for page in map(Path, pages):
        page.write_text(drawn(page.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
