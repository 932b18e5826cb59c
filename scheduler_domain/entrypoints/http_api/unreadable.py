"""Requests that are no HTTP: refused in the same shape as every other, before the application ever sees them."""

from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scheduler_domain.entrypoints.http_api.problems import MEDIA_TYPE, TITLES, ProblemDocument

LARGEST_HEAD: Final = 64 * 1024


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which would answer in plain text, and keep headers of any size while they arrive.

    Headers come before the body and, as trailers, behind one that is sent in chunks. Each time they are bound by
    LARGEST_HEAD and what one more read brings; of a head, no token has been looked at by then. Trailers are read and
    dropped, which RFC 9110 (section 6.5.1) leaves to us: headers that come after the token was judged mean nothing.
    """

    _head_is_open = False
    _unread_size = 0
    """What came since a request last came further: to its body, along it, or to its end."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_is_open = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_is_open:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_is_open = False
        self._unread_size = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread_size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread_size = 0
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        self._unread_size += len(data)
        super().data_received(data)
        if self._unread_size > LARGEST_HEAD and not self.transport.is_closing():
            self._refuse_headers()

    def _refuse_headers(self) -> None:
        if self._head_is_open or self.cycle is None or not self.cycle.response_started:
            self._refuse(f"the address and the headers of a request have {LARGEST_HEAD // 1024} KiB at most")
        else:
            self.transport.close()  # answered already: a second answer would be taken for that of the next request

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
