"""Requests that are no HTTP: refused in the same shape as every other, before the application ever sees them."""

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scheduler_domain.entrypoints.http_api.problems import MEDIA_TYPE, TITLES, ProblemDocument


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which would answer in plain text."""

    def send_400_response(self, msg: str) -> None:
        document = ProblemDocument(
            type="urn:scheduler-domain:problem:invalid-request",
            title=TITLES["invalid-request"],
            status=400,
            detail="this is no HTTP request that can be read",
            instance="",
            code="invalid-request",
            request_id="",
        )
        content = msgspec.json.encode(document)
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(content)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.logger.debug("refused: %s", msg)
        self.transport.write(head.encode("ascii") + content)
        self.transport.close()
