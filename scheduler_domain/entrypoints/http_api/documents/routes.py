"""The OpenAPI document, and Swagger UI to read it with. All of it is served from here: it works without a network."""

from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from litestar import Request, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from scheduler_domain.entrypoints.http_api.answers import HttpAnswer, json_answer
from scheduler_domain.entrypoints.http_api.documents import descriptions
from scheduler_domain.entrypoints.http_api.documents.older_openapi import in_openapi_30
from scheduler_domain.entrypoints.http_api.operations import told

_ASSETS: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_KEPT: Final = {"Cache-Control": "public, max-age=3600"}
_PAGE: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>scheduler-domain API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START: Final = b"""SwaggerUIBundle({
  url: "/docs/openapi-3.0.json",
  dom_id: "#page",
  deepLinking: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""


@get("/openapi.json", opt=told(descriptions.OPENAPI))
async def openapi_document(request: Request[Any, Any, Any]) -> HttpAnswer:
    return json_answer(_encoded(request), headers=_KEPT)


@get("/docs", opt=told(descriptions.DOCS))
async def docs_page() -> HttpAnswer:
    headers = {**_KEPT, "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
    return HttpAnswer(_PAGE, headers=headers, media_type="text/html; charset=utf-8")


@get("/docs/{name:str}", opt=told(descriptions.ASSET))
async def docs_asset(request: Request[Any, Any, Any], name: FromPath[str]) -> HttpAnswer:
    if name == "start.js":
        return HttpAnswer(_START, headers=_KEPT, media_type="text/javascript")
    if name == "openapi-3.0.json":
        return json_answer(msgspec.json.encode(in_openapi_30(_document(request))), headers=_KEPT)
    if name not in _ASSETS:
        raise NotFoundException
    return HttpAnswer(_asset(name), headers=_KEPT, media_type=_ASSETS[name])


@get("/", opt=told(descriptions.FRONT), status_code=307)
async def front_page() -> HttpAnswer:
    return HttpAnswer(status=307, headers={"Location": "/docs"})


def _document(request: Request[Any, Any, Any]) -> dict[str, Any]:
    document: dict[str, Any] = request.app.state["openapi"]
    return document


def _encoded(request: Request[Any, Any, Any]) -> bytes:
    return msgspec.json.encode(_document(request))


@cache
def _asset(name: str) -> bytes:
    """Read a file of the bundled Swagger UI, whichever version it is."""
    vendor = files("swagger_ui_bundle").joinpath("vendor")
    folder = next(iter(item for item in vendor.iterdir() if item.name.startswith("swagger-ui")))
    return folder.joinpath(name).read_bytes()
