"""Instances by the million: `POST /templates/{name}/instances:batch`, read, applied and answered line by line.

While one batch is being stored the next is being read and drawn, so that this process and PostgreSQL work at the same
time. Two batches that are under way at once have no key in common: the last line of a key is the one that counts.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, post
from litestar.params import FromPath
from msgspec import Struct

from scheduler_domain.application.apply_template import (
    LINES_AT_ONCE,
    ApplyTemplate,
    BatchLine,
    LineResult,
    LineStatus,
)
from scheduler_domain.domain.errors import InvalidField, Problem, SchedulerError
from scheduler_domain.domain.roles import Caller
from scheduler_domain.domain.strict_json import NotStrictJson, parse_strictly
from scheduler_domain.entrypoints.http_api.bodies import UnsupportedMediaType, typed
from scheduler_domain.entrypoints.http_api.operations import told
from scheduler_domain.entrypoints.http_api.queries import Query, template_in_path
from scheduler_domain.entrypoints.http_api.request_scope import caller_of, header_values
from scheduler_domain.entrypoints.http_api.services import services_of
from scheduler_domain.entrypoints.http_api.templates import descriptions
from scheduler_domain.entrypoints.http_api.templates.lines import (
    LONGEST_LINE,
    ArrayItems,
    BrokenBody,
    Lines,
    NdjsonLines,
    NumberedLine,
)
from scheduler_domain.entrypoints.http_api.templates.outlet import MOST_KEPT, Outlet
from scheduler_domain.entrypoints.http_api.templates.payloads import (
    BatchCounts,
    BatchSummary,
    InstanceLine,
    batch_line_json,
)

DEEPEST_LINE: Final = 12
_BATCHES_AT_ONCE: Final = 2
_NDJSON: Final = "application/x-ndjson"
_LINES: Final[dict[bytes, type[NdjsonLines | ArrayItems]]] = {
    b"application/x-ndjson": NdjsonLines,
    b"application/ndjson": NdjsonLines,
    b"application/jsonl": NdjsonLines,
    b"application/json": ArrayItems,
}
_LINE_MEMBERS: Final = {"key", "parameters"}
_RESULTS: Final = {"all": False, "failed": True}
_log = structlog.get_logger(__name__)


class BatchRequest(Struct, frozen=True):
    """What the client asked for, apart from the lines themselves."""

    caller: Caller
    template: str
    is_dry_run: bool
    only_failed: bool


@post("/templates/{name:str}/instances:batch", opt=told(descriptions.BATCH), status_code=200)
async def put_instances(request: Request[Any, Any, Any], name: FromPath[str]) -> "BatchAnswer":
    query = Query(request.scope, ("dryRun", "results"))
    caller = caller_of(request.scope)
    use = services_of(request.scope).use
    asked = BatchRequest(
        caller,
        template_in_path(name),
        is_dry_run=query.flag("dryRun") or False,
        only_failed=query.one_of("results", _RESULTS) or False,
    )
    lines = _lines_of(request)
    await use.templates.by_name(caller, asked.template)
    return BatchAnswer(use.apply_template, asked, lines)


class BatchAnswer:
    """Reads the body while it answers. An ASGI application itself, as every answer is."""

    def __init__(self, apply: ApplyTemplate, asked: BatchRequest, lines: Lines) -> None:
        self._apply = apply
        self._asked = asked
        self._lines = lines

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 (ASGI)
        headers = [(b"content-type", _NDJSON.encode())]
        outlet = Outlet(send, {"type": "http.response.start", "status": 200, "headers": headers})
        batches = _Batches(self._apply, self._asked, outlet)
        try:
            aborted = await self._read(receive, batches)
        except _ClientGone:
            outlet.abandon()
            return
        except BaseException:
            outlet.abandon()
            raise
        await outlet.end(batches.summary(aborted))

    async def _read(self, receive: Any, batches: "_Batches") -> Problem | None:
        """Apply the body to its end; return why it could not be, once the answer has begun."""
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise _ClientGone
                more = message["more_body"]
                await batches.add(self._lines.feed(message["body"]))
            await batches.add(self._lines.close())
            await batches.flush()
        except BrokenBody as broken:
            await batches.flush()
            return Problem("", "not-json", str(broken))
        except SchedulerError as refusal:
            await batches.give_up()
            if not batches.has_answered:
                raise
            _log.warning("templates.batch.aborted", template=self._asked.template, error=str(refusal))
            return Problem("", refusal.code, refusal.message)
        except BaseException:
            await batches.give_up()
            raise
        return None


class _ClientGone(Exception):
    """Nobody is left to answer. What was stored stays, and sending it again costs little."""


class _Batches:
    """Lines gathered into batches, of which a few are under way at once; results leave in the order of the lines."""

    def __init__(self, apply: ApplyTemplate, asked: BatchRequest, outlet: Outlet) -> None:
        self._apply = apply
        self._asked = asked
        self._outlet = outlet
        self._gathered: dict[str, BatchLine] = {}
        self._refused: list[LineResult] = []
        self._under_way: deque[tuple[frozenset[str], asyncio.Task[list[LineResult]]]] = deque()
        self._counts = dict.fromkeys(LineStatus, 0)

    @property
    def has_answered(self) -> bool:
        return self._outlet.has_begun

    async def add(self, lines: Iterable[NumberedLine]) -> None:
        for number, text in lines:
            try:
                line = _line(number, text)
            except InvalidField as refusal:
                self._refused.append(LineResult(number, None, LineStatus.FAILED, refusal.problems))
            else:
                if line.key in self._gathered:
                    await self._start()
                self._gathered[line.key] = line
            if len(self._gathered) + len(self._refused) >= LINES_AT_ONCE:
                await self._start()

    async def flush(self) -> None:
        """Apply what was gathered and wait for all that is under way."""
        await self._start()
        while self._under_way:
            await self._finish_oldest()

    async def give_up(self) -> None:
        """Let what is under way come to its end, and ask no more about it."""
        await asyncio.gather(*(task for _, task in self._under_way), return_exceptions=True)
        self._under_way.clear()

    def summary(self, aborted: Problem | None) -> bytes:
        counts = BatchCounts(*(self._counts[status] for status in LineStatus))
        omitted = self._outlet.omitted_count
        return msgspec.json.encode(BatchSummary(counts, self._asked.is_dry_run, omitted, aborted)) + b"\n"

    async def _start(self) -> None:
        lines, refused = list(self._gathered.values()), self._refused
        self._gathered, self._refused = {}, []
        if not lines and not refused:
            return
        keys = frozenset(line.key for line in lines)
        while self._under_way and (
            len(self._under_way) >= _BATCHES_AT_ONCE or any(keys & others for others, _ in self._under_way)
        ):
            await self._finish_oldest()
        self._under_way.append((keys, asyncio.create_task(self._applied(lines, refused))))
        await asyncio.sleep(0)  # its first statement leaves before the next line is parsed

    async def _applied(self, lines: Sequence[BatchLine], refused: list[LineResult]) -> list[LineResult]:
        asked = self._asked
        applied: list[LineResult] = []
        if lines:
            applied = await self._apply.batch(asked.caller, asked.template, lines, is_dry_run=asked.is_dry_run)
        return sorted([*applied, *refused], key=lambda result: result.number) if refused else applied

    async def _finish_oldest(self) -> None:
        _, task = self._under_way.popleft()
        results = await task
        for result in results:
            self._counts[result.status] += 1
        failed = [result for result in results if result.status == LineStatus.FAILED]
        shown = failed if self._asked.only_failed else results
        if shown and not self._outlet.offer(_lines_json(shown)):
            is_taken = bool(failed) and self._outlet.offer(_lines_json(failed), most=2 * MOST_KEPT)
            self._outlet.omitted_count += len(shown) - (len(failed) if is_taken else 0)


def _line(number: int, text: bytes | None) -> BatchLine:
    if text is None:
        raise InvalidField.at("", "line-too-long", f"a line has {LONGEST_LINE // 1024} KiB at most")
    try:
        value = parse_strictly(text, DEEPEST_LINE)
    except NotStrictJson as error:
        raise InvalidField.at("", error.code, str(error)) from None
    if type(value) is dict and value.keys() == _LINE_MEMBERS and type(value["key"]) is str:
        parameters = value["parameters"]
        if type(parameters) is dict:
            return BatchLine(number, value["key"], parameters)
    line = typed(value, InstanceLine)  # which says in words what is wrong
    return BatchLine(number, line.key, line.parameters)


def _lines_of(request: Request[Any, Any, Any]) -> Lines:
    if header_values(request.scope, b"content-encoding"):
        raise UnsupportedMediaType("send the body as it is, without Content-Encoding")
    sent = header_values(request.scope, b"content-type")
    kind = _LINES.get(sent[0].partition(b";")[0].strip().lower()) if len(sent) == 1 else None
    if kind is None:
        raise UnsupportedMediaType(f"send lines with Content-Type: {_NDJSON}, or an array with application/json")
    return kind()


def _lines_json(results: Sequence[LineResult]) -> bytes:
    return b"".join(batch_line_json(result) for result in results)
