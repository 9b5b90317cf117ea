"""Every answer of a real server is one that /openapi.json documents, and none is a server's error.

Schemathesis makes the requests: every operation with values at and beyond the bounds of each parameter (its
coverage phase), and in the slow suite thousands of made-up ones, and chains of operations.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.server import RunningServer, running_server

RUN_S_MAX = 900.0
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
UNLIMITED = {
    f"BYSTANDER_LIMITS__{who}_REQUESTS_BURST": "1000000" for who in ("KEY", "PARTICIPANT", "ADDRESS")
}
NEVER_ENDING = "/events$|/decisions$"  # what waits for news by design is not fuzzed
SAYS_SO = "pause$|resume$"  # 501 pause_unsupported, documented: there is nothing to break yet


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    settings = {**UNLIMITED, "BYSTANDER_CALL__BIND_HOST": "127.0.0.1"}
    with running_server(tmp_path / "data", settings=settings) as running:
        yield running


async def strict_document(server: RunningServer, directory: Path) -> Path:
    """The document without its `default` answers, which would make everything documented."""
    async with aiohttp.ClientSession(server.base_url) as http, http.get("/openapi.json") as answer:
        document: dict[str, Any] = await answer.json()
    for item in document["paths"].values():
        for operation in item.values():
            del operation["responses"]["default"]
    file = directory / "openapi.json"
    file.write_text(json.dumps(document))
    return file


def schemathesis(server: RunningServer, document: Path, *options: str) -> None:
    """Run it; its report is the message when it finds something."""
    command = [Path(sys.executable).parent / "schemathesis", "run", document, "--url", server.base_url]
    header = f"Authorization: Bearer {server.api_key}"
    common = ("--no-color", "--seed", "1", "--warnings", "off", "--checks", ",".join(CHECKS), "-H", header)
    done = subprocess.run(
        [*command, *common, *options], capture_output=True, text=True, timeout=RUN_S_MAX, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_values_at_and_beyond_every_bound(server: RunningServer, tmp_path: Path) -> None:
    document = await strict_document(server, tmp_path)
    quick = f"{NEVER_ENDING}|{SAYS_SO}|/recordings$|/whip/|/storage/test"
    schemathesis(server, document, "--phases", "coverage", "--exclude-path-regex", quick)


@pytest.mark.slow
async def test_thousands_of_made_up_requests_and_chains_of_them(
    server: RunningServer, tmp_path: Path
) -> None:
    document = await strict_document(server, tmp_path)
    left = f"{NEVER_ENDING}|{SAYS_SO}|/whip/"
    phases = ("--phases", "coverage,fuzzing,stateful", "--max-examples", "30", "--max-time", "240")
    schemathesis(server, document, *phases, "--exclude-path-regex", left)
