"""The API's page: Swagger UI of our own, which loads nothing from elsewhere, and examples that run."""

import pytest

from signaling.app import API
from signaling.docs import renderer
from signaling.docs.examples import EXAMPLES
from signaling.routes.access import Scheme
from signaling.routes.operation import BinaryBody, TextBody
from tests.signaling.test_access import Scene, scene
from tests.support.browser import chromium
from tests.support.http import Served, problem

__all__ = ["scene"]

WITH_EXAMPLES = [
    operation
    for operation in API
    if operation.body is not None and not isinstance(operation.body, TextBody | BinaryBody)
]
needs_renderer = pytest.mark.skipif(not renderer.files(), reason="deploy/fetch-api-page was not run")


def test_every_body_has_an_example() -> None:
    assert {operation.id for operation in WITH_EXAMPLES} == set(EXAMPLES)


@pytest.mark.parametrize(
    "operation",
    [one for one in WITH_EXAMPLES if one.access.scheme is Scheme.BEARER],
    ids=lambda operation: operation.id,
)
async def test_an_example_runs(scene: Scene, operation) -> None:
    body = EXAMPLES[operation.id]
    if "participant" in body:
        body = {**body, "participant": scene.names["participant"]}
    path = operation.path.format(**scene.names)
    answer = await scene.served.client.request(operation.method, path, headers=scene.served.key, json=body)
    assert answer.status < 300 or answer.status in RIGHTLY_REFUSED.get(operation.id, ()), await answer.text()


RIGHTLY_REFUSED = {  # which say something of the scene, and nothing of the body
    "invitePublisher": (409,),  # its recording is over
    "takeSnapshot": (404, 409),  # and nobody is in its room
    "refuseSnapshot": (404, 409),
    "updateWebhook": (404,),
    "startInteraction": (409,),
}


async def test_problems_are_found_by_their_names(served: Served) -> None:
    told = await problem(await served.client.get("/v1/nothing"), 404, "not_found")
    page = await (await served.client.get(told["type"].partition("#")[0])).text()
    assert f'id="{told["type"].partition("#")[2]}"' in page


@pytest.mark.slow
@needs_renderer
async def test_a_call_is_sent_from_the_page(served: Served) -> None:
    async with chromium() as browser:
        page = await browser.new_page()
        complaints: list[str] = []
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(str(served.client.make_url("/docs")))
        await page.click("#operations-service-getHealth .opblock-summary")
        await page.click("#operations-service-getHealth .execute")
        await page.wait_for_selector("#operations-service-getHealth .live-responses-table")
        answered = await page.inner_text(
            "#operations-service-getHealth .live-responses-table tbody .response-col_status"
        )
        assert "200" in answered
        origin = str(served.client.make_url("/"))
        assert all(url.startswith((origin, "data:")) for url in asked)
        assert not complaints
