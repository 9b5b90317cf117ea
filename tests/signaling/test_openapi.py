"""/openapi.json is valid, and says of the routes what the routes do."""

import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client import CollectorRegistry

from signaling.app import API, build_app
from signaling.docs import renderer
from signaling.docs.pages import operations
from signaling.routes.access import Scheme
from tests.support.fake_ports import FakeServer
from tests.support.http import LINK_SECRET, Served, serve

OF_PAGES = re.compile(r"/$|/room/|/web/|/console$|/console/{page}|/console-files/|/docs-files/")


@pytest.fixture
async def document(served: Served) -> dict[str, Any]:
    answer = await served.client.get("/openapi.json")
    assert (answer.status, answer.content_type) == (200, "application/json")
    return dict(await answer.json())


def documented(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item}


async def test_every_route_is_documented_and_every_documented_one_is_there(document: dict[str, Any]) -> None:
    app = build_app(FakeServer().ports, registry=CollectorRegistry(), link_secret=LINK_SECRET, version="0")
    mounted = {(route.method, getattr(route.resource, "canonical", "")) for route in app.router.routes()}
    assert {one for one in mounted if not OF_PAGES.match(one[1])} == documented(document)


async def test_it_is_valid(document: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


async def test_operation_ids_are_unique() -> None:
    everything = [*API, *operations(API, version="0")]
    assert len({operation.id for operation in everything}) == len(everything)


async def test_no_struct_name_stands_for_two(document: dict[str, Any]) -> None:
    """And what a recording is stands in it with every field of the design."""
    fields = document["components"]["schemas"]["Recording"]["properties"]
    wanted = "id state type end_reason entry_point started_at ended_at duration_s bytes filename links"
    assert set(wanted.split()) <= set(fields)


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> Any:
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    names = {one.removeprefix("#/components/schemas/") for one in references(document)}
    assert names <= set(document["components"]["schemas"])
    assert {"Role", "SourceKind", "Problem", "Recording"} <= names


async def test_security_says_what_access_does(document: dict[str, Any]) -> None:
    for operation in API:
        security = document["paths"][operation.path][operation.method.lower()]["security"]
        schemes = {name for one in security for name in one}
        expected: set[str] = {
            Scheme.PUBLIC: set[str](),
            Scheme.ENTRY_POINT: {"entryPoint"},
            Scheme.SESSION: {"session"},
            Scheme.BEARER: {"bearer"} | ({"signedLink"} if operation.access.signed_link else set()),
        }[operation.access.scheme]
        assert schemes == expected, operation.id


async def test_queries_are_parameters(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/v1/conversations"]["get"]["parameters"]
    assert {"after", "limit", "metadata", "state"} <= {one["name"] for one in parameters}
    assert {one["in"] for one in parameters} == {"query"}


async def test_the_plain_page_shows_every_operation_type_and_problem(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer, "files", dict)
    async with serve() as served:
        answer = await served.client.get("/docs")
        html = await answer.text()
        assert (await served.client.get("/docs-files/start.js")).status == 404
    assert (answer.status, answer.content_type) == (200, "text/html")
    for operation in API:
        assert f'id="{operation.id}"' in html
    for name in document["components"]["schemas"]:
        assert f'id="type-{name}"' in html
    for code in ("not_found", "range_not_satisfiable", "stale_ice_session", "invalid_body"):
        assert f'id="problem-{code}"' in html
    targets = set(re.findall(r'href="#([^"]+)"', html))
    assert targets <= set(re.findall(r'id="([^"]+)"', html))
    assert "<script" not in html
    assert not re.findall(r'(?:src|href)="https?:', html)
