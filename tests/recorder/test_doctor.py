"""The doctor: what is wrong is found, and said with what mends it; on this machine, and on made-up ones."""

import json
import socket
from pathlib import Path

import pytest

from recorder.cli import main
from recorder.doctor import machine, network
from recorder.doctor.examination import data_directory
from recorder.doctor.finding import Finding, Verdict, worst
from recorder.doctor.stores import directory, judged_store, look
from recorder.doctor.walls import judged_walls
from recorder.kernel.limits import MIB
from recorder.kernel.media import IceTransportPolicy
from recorder.settings.definitions import CallSettings, ServerSettings, TurnSettings
from storage.settings import StorageSettings
from storage.stores.probe import ProbeStep

FREE_MIN = 256 * MIB


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (machine.judged_clock(0), "ok"),
        (machine.judged_clock(5), "warning"),
        (machine.judged_disk(Path("/d"), 100 * MIB, "ext4", free_bytes_min=FREE_MIN), "failed"),
        (machine.judged_disk(Path("/d"), 300 * MIB, "ext4", free_bytes_min=FREE_MIN), "warning"),
        (machine.judged_disk(Path("/d"), 9_000 * MIB, "tmpfs", free_bytes_min=FREE_MIN), "warning"),
        (machine.judged_disk(Path("/d"), 9_000 * MIB, "nfs4", free_bytes_min=FREE_MIN), "warning"),
        (machine.judged_disk(Path("/d"), 9_000 * MIB, "xfs", free_bytes_min=FREE_MIN), "ok"),
        (machine.judged_descriptors(1_024, 4_096), "warning"),
        (machine.judged_descriptors(None, 4_096), "ok"),
        (machine.judged_buffers(64 * 1024, 0), "warning"),
        (machine.judged_buffers(212_992, 7), "warning"),
        (machine.judged_buffers(212_992, 0), "ok"),
        (machine.judged_memory(512 * MIB, 2), "warning"),
        (machine.judged_memory(8_192 * MIB, 4), "ok"),
        (machine.judged_ports(60_000, 60_999), "warning"),
        (machine.judged_ports(32_768, 60_999), "ok"),
        (judged_walls(["limits", "landlock:4", "seccomp"]), "ok"),
        (judged_walls(["limits", "seccomp"]), "warning"),
        (judged_walls(["limits", "landlock:4"]), "warning"),
        (judged_store([ProbeStep("write", ok=False, seconds=0, detail="denied")], "s3://b"), "failed"),
        (judged_store([ProbeStep("write", ok=True, seconds=0, warning=True)], "s3://b"), "warning"),
        (judged_store([ProbeStep("write", ok=True, seconds=0)], "s3://b"), "ok"),
    ],
)
def test_each_finding_that_is_not_well_says_what_mends_it(finding: Finding, verdict: str) -> None:
    assert finding.verdict == verdict
    assert (finding.remedy is None) == (verdict == "ok")


class TestNetwork:
    async def test_a_port_that_somebody_else_has(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            found = await network.port(ServerSettings(port=other.getsockname()[1]))
        assert (found.verdict, found.name) == (Verdict.FAILED, "port")
        assert (await network.port(ServerSettings(port=0))).verdict is Verdict.OK

    async def test_a_public_address_where_nobody_answers(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
        found = await network.public_url(ServerSettings(public_url=f"http://127.0.0.1:{port}/part"))
        assert found.verdict is Verdict.WARNING
        assert "does not answer" in found.detail

    async def test_no_public_address(self) -> None:
        for host, words in (("127.0.0.1", "on this machine"), ("0.0.0.0", "without TLS")):
            assert words in (await network.public_url(ServerSettings(host=host))).detail

    async def test_media_that_is_relayed_by_nobody(self) -> None:
        relayed = CallSettings(ice_transport_policy=IceTransportPolicy.RELAYED)
        assert (await network.turn(relayed, TurnSettings())).verdict is Verdict.FAILED
        assert (await network.turn(CallSettings(), TurnSettings())).verdict is Verdict.WARNING
        silent = TurnSettings(urls=["turn:127.0.0.1:9?transport=tcp"])
        assert (await network.turn(relayed, silent)).verdict is Verdict.FAILED
        assert (await network.turn(CallSettings(), silent)).verdict is Verdict.WARNING

    async def test_an_address_for_media_that_this_machine_has_not(self) -> None:
        found = await network.media_address(CallSettings(bind_host="192.0.2.99"))
        assert found.verdict is Verdict.FAILED


def test_a_directory_that_others_may_read(tmp_path: Path) -> None:
    assert data_directory(tmp_path / "new" / "data").verdict is Verdict.OK
    tmp_path.chmod(0o755)
    assert data_directory(tmp_path).verdict is Verdict.WARNING
    tmp_path.chmod(0o700)
    assert data_directory(tmp_path).verdict is Verdict.OK


def test_a_store_that_no_server_could_make(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for base in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing/here")):
        assert directory("default", base).verdict is Verdict.FAILED
    assert directory("default", tmp_path / "new" / "store").verdict is Verdict.OK
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


async def test_a_named_store_is_looked_at_by_its_name(tmp_path: Path) -> None:
    for data in (tmp_path, tmp_path / "none yet"):
        found = await look("archive", StorageSettings(url="/proc/nothing"), data, None)
        assert (found.name, found.verdict) == ("stores.archive", Verdict.FAILED)
        assert found.remedy is not None and "storage test archive" in found.remedy
    found = await look("archive", StorageSettings(url="ftp://nowhere"), tmp_path, None)
    assert found.remedy is not None and "[stores.archive]" in found.remedy


def test_the_worst_counts() -> None:
    assert worst([]) is Verdict.OK
    assert worst([machine.judged_clock(5), machine.judged_clock(0)]) is Verdict.WARNING


def doctor(tmp_path: Path, settings: str, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    config = tmp_path / "bystander.toml"
    config.write_text(settings)
    code = main(["doctor", "--config", str(config), "--data-dir", str(tmp_path / "data"), *more])
    return code, capsys.readouterr().out


def test_this_machine_is_examined_and_nothing_is_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = doctor(tmp_path, "[server]\nport = 0\n", capsys, "--json")
    told = json.loads(said)
    names = [finding["name"] for finding in told["findings"]]
    assert len(names) == len(set(names)) == 15
    assert (code, told["verdict"] == "failed") in ((0, False), (1, True))
    assert {"walls", "store", "clock", "buffers", "turn", "ulimit"} < set(names)
    assert [file.name for file in tmp_path.iterdir()] == ["bystander.toml"]


def test_what_is_wrong_is_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = doctor(tmp_path, '[server]\nport = 0\n[call]\nbind_host = "192.0.2.99"\n', capsys)
    assert code == 1
    assert "failed   media_address" in said
    assert "-> Set call.bind_host" in said
    stores = '[storage]\nurl = "/proc/nothing/here"\n[stores.archive]\nurl = "/proc/nothing"\n'
    code, said = doctor(tmp_path, f"[server]\nport = 0\n{stores}", capsys)
    assert (code, "failed   store " in said, "failed   stores.archive" in said) == (1, True, True)
    code, said = doctor(tmp_path, "[server]\nprt = 0\n", capsys)
    assert (code, said.startswith("failed   settings")) == (1, True)
