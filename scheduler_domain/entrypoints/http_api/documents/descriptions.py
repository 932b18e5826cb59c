"""What the routes that describe the API say of themselves."""

from typing import Final

from scheduler_domain.entrypoints.http_api.operations import Operation, Parameter, Reply

_TAG: Final = "Documents"

OPENAPI: Final = Operation(
    tag=_TAG,
    summary="This document",
    is_public=True,
    replies={200: Reply("OpenAPI 3.1.", {"type": "object"})},
)
DOCS: Final = Operation(
    tag=_TAG,
    summary="A page to read this document with",
    is_public=True,
    replies={200: Reply("A page.", {"type": "string"}, "text/html")},
)
ASSET: Final = Operation(
    tag=_TAG,
    summary="A part of the page",
    is_public=True,
    parameters=(Parameter("name", "path", "The file.", is_required=True),),
    replies={200: Reply("A script, a style or a picture.", {"type": "string"}, "application/octet-stream")},
    problems=("not-found",),
)
FRONT: Final = Operation(
    tag=_TAG, summary="The front page", is_public=True, replies={307: Reply("Go to /docs.", headers=("Location",))}
)
