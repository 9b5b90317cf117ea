"""Playlists over HTTP, the links in them, and redirects to the store."""

from urllib.parse import parse_qs, urlsplit

from yarl import URL

from recorder.kernel.errors import caller_error
from tests.support.http import Served, problem


async def recorded(served: Served) -> tuple[str, dict[str, str]]:
    made = await served.recording()
    served.fake.media[made["id"]].data += b"0123456789"
    return made["id"], made["links"]


async def test_whoever_has_the_playlist_can_play(served: Served) -> None:
    recording, links = await recorded(served)
    playlist = URL(links["hls"])
    answer = await served.client.get(playlist.path_qs)
    assert (answer.status, answer.content_type) == (200, "application/vnd.apple.mpegurl")
    assert answer.headers["Cache-Control"] == "no-store"
    first, uri = (await answer.text()).split()
    assert first == "#EXTM3U"
    media = playlist.join(URL(uri, encoded=True))
    assert media.path == f"/v1/recordings/{recording}/media.mp4"
    assert media.query["expires"] == playlist.query["expires"]  # what is passed on does not last longer
    played = await served.client.get(media.path_qs, headers={"Range": "bytes=2-4"})
    assert (played.status, await played.read()) == (206, b"234")
    await problem(await served.client.get(media.path_qs.replace("media.mp4", "media")), 403, "link_invalid")
    await problem(await served.client.get(playlist.path), 401, "unauthorized")


async def test_what_cannot_be_listed_says_why(served: Served) -> None:
    _, links = await recorded(served)
    served.fake.fail("recordings.playlist", caller_error("no_index", "No index.", status=409))
    await problem(await served.client.get(URL(links["hls"]).path_qs), 409, "no_index")


async def test_a_redirect_to_the_store_lasts_as_long_as_the_link(served: Served) -> None:
    _, links = await recorded(served)
    media = URL(links["media"]).update_query(redirect="store", download="true")
    for method in ("GET", "HEAD"):
        answer = await served.client.request(method, media.path_qs, allow_redirects=False)
        assert answer.status == 307
        told = parse_qs(urlsplit(answer.headers["Location"]).query)
        left_s = int(media.query["expires"]) - served.fake.now().timestamp()
        assert abs(int(told["for"][0]) - left_s) <= 1
        assert told["as"][0].startswith('attachment; filename="recording.mp4"')
        assert told["method"] == [method]
    answer = await served.client.get(media.update_query(redirect="elsewhere").path_qs)
    await problem(answer, 400, "invalid_query")


async def test_a_store_without_links_does_not_redirect(served: Served) -> None:
    _, links = await recorded(served)
    served.fake.fail("recordings.store_link", caller_error("no_store_link", "None.", status=409))
    answer = await served.client.get(URL(links["media"]).update_query(redirect="store").path_qs)
    await problem(answer, 409, "no_store_link")
