"""Requests that are no HTTP: refused in the same shape as every other, before the application ever sees them."""

from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scheduler_domain.entrypoints.http_api.problems import MEDIA_TYPE, TITLES, ProblemDocument

LARGEST_HEAD: Final = 64 * 1024


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which would answer in plain text, and keep a head of any size while it arrives.

    The bound is LARGEST_HEAD and what one more read brings; no token has been looked at by then.
    """

    _head_is_open = False
    _head_size = 0

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_is_open, self._head_size = True, 0

    def on_headers_complete(self) -> None:
        self._head_is_open = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_is_open and not self.transport.is_closing():
            self._head_size += len(data)
            if self._head_size > LARGEST_HEAD:
                self._refuse(f"the address and the headers of a request have {LARGEST_HEAD // 1024} KiB at most")

    def send_400_response(self, msg: str) -> None:
        self.logger.debug("refused: %s", msg)
        self._refuse("this is no HTTP request that can be read")

    def _refuse(self, detail: str) -> None:
        document = ProblemDocument(
            type="urn:scheduler-domain:problem:invalid-request",
            title=TITLES["invalid-request"],
            status=400,
            detail=detail,
            instance="",
            code="invalid-request",
            request_id="",
        )
        content = msgspec.json.encode(document)
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(content)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + content)
        self.transport.close()
