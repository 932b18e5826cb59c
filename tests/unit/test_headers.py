"""Headers that would frame, route or speak for the platform are not a tenant's to send."""

import pytest

from scheduler_domain.domain.headers import header_problems


def codes(headers: dict[str, str]) -> list[str]:
    return [problem.code for problem in header_problems(headers, "/headers")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer abc"},
        {"X-A": ""},
        {"X-A": "a b\tc"},
        {"Content-Type": "application/json"},
        {f"X-{number}": "v" for number in range(50)},
    ],
)
def test_ordinary_headers_are_accepted(headers: dict[str, str]) -> None:
    assert codes(headers) == []


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        *[({name: "x"}, "reserved-header") for name in (
            "Host", "content-length", "TRANSFER-ENCODING", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade",
            "Expect", "HTTP2-Settings", "Proxy-Authorization", "webhook-id", "Webhook-Signature", "Idempotency-Key",
            "X-Tenant-Id", "x-scheduler-callback-token",
        )],
        ({"a b": "x"}, "invalid-header"),
        ({"": "x"}, "invalid-header"),
        ({"X-A:": "x"}, "invalid-header"),
        ({"X-\u00e4": "x"}, "invalid-header"),
        ({"X-A": "\u00e4"}, "invalid-header"),
        ({"X-A": "a\r\nX-B: c"}, "invalid-header"),
        ({"X-A": "a\n"}, "invalid-header"),
        ({"X-A": "a\x00"}, "invalid-header"),
        ({"X-A": " a"}, "invalid-header"),
        ({"X-A": "a "}, "invalid-header"),
        ({"X-A": "a" * 4097}, "invalid-header"),
        ({"X-A": "1", "x-a": "2"}, "duplicate-header"),
        ({f"X-{number}": "v" for number in range(51)}, "too-many-headers"),
        ({f"X-{number}": "v" * 4000 for number in range(5)}, "headers-too-large"),
    ],
)  # fmt: skip
def test_others_are_refused(headers: dict[str, str], code: str) -> None:
    assert code in codes(headers)


def test_a_name_is_shown_as_a_pointer() -> None:
    [problem] = header_problems({"a/b~c": "x"}, "/target/http/headers")
    assert problem.pointer == "/target/http/headers/a~1b~0c"
