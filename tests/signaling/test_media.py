"""A recording's bytes over HTTP: whole, in ranges, and while they grow."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.kernel.errors import BystanderError, Fault
from signaling.api.recording.media import content_disposition
from signaling.http import byte_answers
from tests.support.fake_ports import FakeMedia
from tests.support.http import Served, problem

CUT_OFF = r"(?i)payload|closed|reset"  # how the client words an answer that broke off
DATA = bytes(range(256)) * 20


async def recorded(served: Served, *, data: bytes = DATA, complete: bool = True) -> tuple[str, FakeMedia]:
    made = await served.recording()
    media = served.fake.media[made["id"]]
    media.data += data
    if complete:
        await served.fake.finish(made["id"])
    return f"/v1/recordings/{made['id']}/media", media


class TestComplete:
    async def test_all_of_it(self, served: Served) -> None:
        path, media = await recorded(served)
        answer = await served.client.get(path, headers=served.key)
        assert (answer.status, await answer.read()) == (200, DATA)
        assert answer.content_type == "video/mp4"
        assert answer.headers["Content-Length"] == str(len(DATA))
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["ETag"] == '"complete"'
        assert media.readers_open == 0

    async def test_a_range(self, served: Served) -> None:
        path, _ = await recorded(served)
        answer = await served.client.get(path, headers=served.key | {"Range": "bytes=1500-2999"})
        assert (answer.status, await answer.read()) == (206, DATA[1500:3000])
        assert answer.headers["Content-Range"] == f"bytes 1500-2999/{len(DATA)}"

    async def test_beyond_its_end(self, served: Served) -> None:
        path, media = await recorded(served)
        answer = await served.client.get(path, headers=served.key | {"Range": f"bytes={len(DATA)}-"})
        await problem(answer, 416, "range_not_satisfiable")
        assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"
        assert media.readers_open == 0

    @pytest.mark.parametrize(("if_range", "status"), [('"complete"', 206), ('"other"', 200), ("Mon", 200)])
    async def test_if_range(self, served: Served, if_range: str, status: int) -> None:
        path, _ = await recorded(served)
        headers = served.key | {"Range": "bytes=0-0", "If-Range": if_range}
        answer = await served.client.get(path, headers=headers)
        assert (answer.status, len(await answer.read())) == (status, 1 if status == 206 else len(DATA))

    async def test_what_the_caller_has_is_not_sent_again(self, served: Served) -> None:
        path, media = await recorded(served)
        answer = await served.client.get(path, headers=served.key | {"If-None-Match": '"x", "complete"'})
        assert (answer.status, await answer.read()) == (304, b"")
        assert answer.headers["ETag"] == '"complete"'
        assert media.readers_open == 0

    async def test_head(self, served: Served) -> None:
        path, media = await recorded(served)
        answer = await served.client.head(path, headers=served.key | {"Range": "bytes=0-0"})
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(DATA))
        assert media.readers_open == 0

    async def test_an_empty_recording(self, served: Served) -> None:
        path, _ = await recorded(served, data=b"")
        answer = await served.client.get(path, headers=served.key)
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["Content-Length"] == "0"
        answer = await served.client.get(path, headers=served.key | {"Range": "bytes=0-"})
        await problem(answer, 416)

    async def test_as_a_file(self, served: Served) -> None:
        path, _ = await recorded(served)
        shown = await served.client.get(path, headers=served.key)
        saved = await served.client.get(path + "?download=true", headers=served.key)
        assert shown.headers["Content-Disposition"].startswith('inline; filename="recording.mp4"')
        assert saved.headers["Content-Disposition"].startswith('attachment; filename="recording.mp4"')


class TestGrowing:
    async def test_an_answer_is_what_exists_when_it_begins(self, served: Served) -> None:
        path, media = await recorded(served, data=DATA[:1000], complete=False)
        first = await served.client.get(path, headers=served.key)
        assert await first.read() == DATA[:1000]
        media.data += DATA[1000:3000]
        second = await served.client.get(path, headers=served.key)
        assert await second.read() == DATA[:3000]
        assert first.headers["ETag"] != second.headers["ETag"]
        assert second.headers["Cache-Control"] == "no-store"

    async def test_a_reader_can_follow_it_by_ranges(self, served: Served) -> None:
        path, media = await recorded(served, data=b"", complete=False)
        collected = b""
        for start in range(0, len(DATA), 1280):
            behind = await served.client.get(path, headers=served.key | {"Range": f"bytes={len(collected)}-"})
            await problem(behind, 416)
            assert behind.headers["Content-Range"] == f"bytes */{len(collected)}"
            media.data += DATA[start : start + 1280]
            answer = await served.client.get(path, headers=served.key | {"Range": f"bytes={len(collected)}-"})
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"bytes {start}-{start + 1279}/{start + 1280}"
            collected += await answer.read()
        assert collected == DATA

    async def test_a_tag_of_a_shorter_state_does_not_open_a_range(self, served: Served) -> None:
        path, media = await recorded(served, data=DATA[:1000], complete=False)
        old = (await served.client.head(path, headers=served.key)).headers["ETag"]
        same = await served.client.get(path, headers=served.key | {"Range": "bytes=5-", "If-Range": old})
        assert same.status == 206
        media.data += DATA[1000:2000]
        grown = await served.client.get(path, headers=served.key | {"Range": "bytes=5-", "If-Range": old})
        assert (grown.status, await grown.read()) == (200, DATA[:2000])

    async def test_growth_in_mid_answer_changes_nothing_of_it(self, served: Served) -> None:
        path, media = await recorded(served, data=DATA[:2500], complete=False)
        answer = await served.client.get(path, headers=served.key)
        media.data += DATA[2500:]
        assert await answer.read() == DATA[:2500]


class TestFailures:
    async def test_before_the_first_byte_it_is_a_problem(self, served: Served) -> None:
        path, media = await recorded(served)
        media.fail_after = 0
        await problem(await served.client.get(path, headers=served.key), 503, "store_unreachable")
        assert media.readers_open == 0

    async def test_in_the_middle_the_connection_breaks_off(self, served: Served) -> None:
        path, media = await recorded(served)
        media.fail_after = 2000
        answer = await served.client.get(path, headers=served.key)
        assert answer.status == 200
        with pytest.raises(Exception, match=CUT_OFF):
            await answer.read()
        assert media.readers_open == 0

    async def test_a_reader_that_gives_too_little_is_no_whole_answer(self, served: Served) -> None:
        path, media = await recorded(served)
        opened = await served.fake.ports.recordings.media(path.split("/")[3])
        del media.data[1000:]

        async def stale(recording: str) -> Any:
            return opened

        served.fake.ports.recordings.media = stale  # type: ignore[method-assign]
        answer = await served.client.get(path, headers=served.key)
        with pytest.raises(Exception, match=CUT_OFF):
            await answer.read()

    async def test_a_caller_who_reads_nothing_is_let_go(
        self, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(byte_answers, "STALL_S_MAX", 0.05)
        path, media = await recorded(served, data=bytes(20_000_000))
        assert served.client.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", served.client.port, limit=1)
        key = served.key["Authorization"]
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n".encode())
        await reader.readexactly(12)
        await asyncio.wait_for(media.closed.wait(), 10)
        writer.close()

    async def test_no_such_recording(self, served: Served) -> None:
        answer = await served.client.get("/v1/recordings/rec_none/media", headers=served.key)
        await problem(answer, 404, "not_found")

    async def test_an_error_of_the_port(self, served: Served) -> None:
        path, _ = await recorded(served)
        error = BystanderError("spool_damaged", "Broken.", fault=Fault.DESTINATION, status=500)
        served.fake.fail("recordings.media", error)
        await problem(await served.client.get(path, headers=served.key), 500, "spool_damaged")


class TestAnyRange:
    @given(
        header=st.from_regex(r"bytes=[0-9]{0,6}-[0-9]{0,6}", fullmatch=True)
        | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
        complete=st.booleans(),
    )
    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_the_answer_is_right_or_a_problem(
        self, served: Served, header: str, complete: bool
    ) -> None:
        path, media = await recorded(served, complete=complete)
        answer = await served.client.get(path, headers=served.key | {"Range": header})
        body = await answer.read()
        if answer.status == 206:
            start, stop = answer.headers["Content-Range"].removeprefix("bytes ").partition("/")[0].split("-")
            assert body == DATA[int(start) : int(stop) + 1]
        elif answer.status == 200:
            assert body == DATA
        else:
            await problem(answer, 416, "range_not_satisfiable")
        assert media.readers_open == 0


@given(st.text(max_size=40))
def test_no_file_name_breaks_the_header(name: str) -> None:
    header = content_disposition(name, attachment=False)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


def test_a_name_in_another_script_is_kept() -> None:
    header = content_disposition("Gespräch 1.mp4", attachment=True)
    assert header == "attachment; filename=\"Gespr_ch 1.mp4\"; filename*=UTF-8''Gespr%C3%A4ch%201.mp4"
