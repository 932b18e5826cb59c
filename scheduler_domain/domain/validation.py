"""What may be saved: what could fail later, at the instant of firing, is refused here while somebody listens.

Each refusal names the place (a JSON pointer), a stable code, and what would be accepted. All problems of a definition
are found in one go, in the order of the document.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

from scheduler_domain.domain.address_guard import AllowedNets, check_url_syntax
from scheduler_domain.domain.errors import InvalidField, InvalidRequest, Problem
from scheduler_domain.domain.headers import header_problems
from scheduler_domain.domain.payload import FIRED_AT_LENGTH, PLACE_NAMES, unknown_places
from scheduler_domain.domain.schedule import FiringRule, FixedDelayTrigger, ScheduleDefinition, rule_spec_of
from scheduler_domain.domain.target import Broker, EventTarget, HttpRequest, HttpTarget, QueueTarget, check_topic
from scheduler_domain.domain.triggers import Rule, TriggerError, compile_rule

LARGEST_PAYLOAD = 256 * 1024
MOST_LABELS = 50
LONGEST_LABEL_VALUE = 200
_LABEL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
_SUCCESS_STATUS = re.compile(r"[1-5](xx|[0-9][0-9])")
_PLACE = re.compile(r"\$\{([^{}\"\\]*)\}")
_UNSEEN = frozenset({"Cc", "Cf", "Cs"})
_LONGEST_VALUES = {
    "scheduleId": 36,
    "occurrenceId": 36,
    "scheduledFor": len("2026-11-22T09:00:00.000000Z"),
    "firedAt": FIRED_AT_LENGTH,
    "localDate": len("2026-11-22"),
    "localTime": len("09:00:00"),
    "attempt": 3,
}


class TargetPolicy(Struct, frozen=True):
    """What the platform lets targets be."""

    allow_http: bool = False
    allowed: AllowedNets = msgspec.field(default_factory=lambda: AllowedNets.parse(""))
    brokers: frozenset[Broker] = frozenset({"NATS"})


def check_definition(definition: ScheduleDefinition, tenant_id: str, policy: TargetPolicy) -> None:
    """Raise InvalidField with every problem but those of the rule itself, which `checked_rule` finds."""
    problems = [
        *_naming_problems(definition),
        *_target_problems(definition, policy),
        *_payload_problems(definition, tenant_id),
        *_combination_problems(definition),
    ]
    refuse(problems)


def check_wording(definition: ScheduleDefinition, tenant_id: str) -> None:
    """Raise InvalidField for what is wrong with name, description, labels and payload; `check_definition` has it too.

    For a definition that differs in these alone from one that was checked.
    """
    refuse([*_naming_problems(definition), *_payload_problems(definition, tenant_id)])


def checked_rule(definition: FiringRule, created_at: datetime) -> Rule:
    """Return the compiled rule; raise InvalidField at the member of the definition that is at fault."""
    try:
        return compile_rule(rule_spec_of(definition, created_at))
    except TriggerError as error:
        raise rule_problem(error) from None


def rule_problem(error: TriggerError) -> InvalidField:
    """Turn a refusal of the trigger engine into one that points into the request."""
    pointer = "/" + error.field.replace(".", "/")
    for member in ("country", "subdivision"):
        pointer = pointer.replace(f"/exclude/{member}", f"/exclude/holidays/{member}")
    return InvalidField.at(pointer, error.code, error.message)


def refuse(problems: list[Problem]) -> None:
    """Raise InvalidField if there is any problem."""
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InvalidField(problems[0].message + more, tuple(problems))


def text_problems(text: str, pointer: str, *, allow_lines: bool = False) -> Iterator[Problem]:
    """Yield a problem if the text holds what a reader would not see: control, format or surrogate characters."""
    if text.isprintable():
        return
    seen = text.replace("\n", "").replace("\t", "") if allow_lines else text
    for character in seen:
        if unicodedata.category(character) in _UNSEEN:
            yield Problem(
                pointer,
                "invalid-text",
                f"the character U+{ord(character):04X} is not accepted: text is made of visible characters and spaces",
            )
            return


def year_problems(instants: Mapping[str, datetime | None], first: int = 1970, last: int = 2100) -> Iterator[Problem]:
    """Yield a problem for each instant, by its pointer, so far away that another zone's calendar may not hold it."""
    for pointer, instant in instants.items():
        if instant is not None and not first <= instant.year <= last:
            yield Problem(pointer, "out-of-range", f"an instant lies in the years {first} to {last}")


def label_problems(labels: dict[str, str], pointer: str) -> Iterator[Problem]:
    if len(labels) > MOST_LABELS:
        yield Problem(pointer, "too-many-labels", f"a schedule has at most {MOST_LABELS} labels")
    for name, value in labels.items():
        place = f"{pointer}/{escaped(name)}"
        if _LABEL_KEY.fullmatch(name) is None:
            yield Problem(
                place,
                "invalid-label",
                "a label's name is 1 to 63 of A-Z a-z 0-9 . _ / - and begins with a letter or digit",
            )
        if len(value) > LONGEST_LABEL_VALUE:
            yield Problem(place, "invalid-label", f"a label's value has at most {LONGEST_LABEL_VALUE} characters")
        yield from text_problems(value, place)


def key_problems(key: str, pointer: str) -> Iterator[Problem]:
    try:
        check_topic(key, pointer)
    except InvalidField:
        yield Problem(
            pointer,
            "invalid-key",
            "a key is 1 to 8 tokens of A-Z a-z 0-9 _ - (64 each at most) joined by single dots, "
            "does not begin with '_', and has 200 characters at most",
        )


def escaped(name: str) -> str:
    """Return the member's name as a JSON pointer token (RFC 6901), cut where it is absurdly long."""
    return name[:100].replace("~", "~0").replace("/", "~1")


def _naming_problems(definition: ScheduleDefinition) -> Iterator[Problem]:
    if definition.key is not None:
        yield from key_problems(definition.key, "/key")
    if not definition.name.strip():
        yield Problem("/name", "invalid-text", "a name has at least one visible character")
    yield from text_problems(definition.name, "/name")
    yield from text_problems(definition.description, "/description", allow_lines=True)
    yield from label_problems(definition.labels, "/labels")


def _target_problems(definition: ScheduleDefinition, policy: TargetPolicy) -> Iterator[Problem]:
    match definition.target:
        case EventTarget(event_topic):
            yield from _topic_problems(event_topic, "/target/eventTopic")
        case QueueTarget(queue):
            yield from _topic_problems(queue.topic, "/target/queue/topic")
            if queue.broker not in policy.brokers:
                configured = ", ".join(sorted(policy.brokers))
                message = f"the broker {queue.broker} is not configured here; configured: {configured}"
                yield Problem("/target/queue/broker", "broker-not-configured", message)
        case HttpTarget(request):
            yield from _http_problems(request, policy)


def _topic_problems(topic: str, pointer: str) -> Iterator[Problem]:
    try:
        check_topic(topic, pointer)
    except InvalidField as refusal:
        yield from refusal.problems


def _http_problems(request: HttpRequest, policy: TargetPolicy) -> Iterator[Problem]:
    url, pointer = request.url, "/target/http/url"
    before_query, mark, query = url.partition("?")
    if "#" in url:
        yield Problem(pointer, "invalid-url", "what follows a '#' is never sent; leave it out, or write %23")
    if _PLACE.search(before_query):
        yield Problem(pointer, "place-outside-query", "${places} are filled in a URL's query only, after the '?'")
    else:
        yield from _place_problems(query, pointer)
        try:
            check_url_syntax(
                before_query + mark + _PLACE.sub("x", query), allow_http=policy.allow_http, allowed=policy.allowed
            )
        except InvalidRequest as refusal:
            yield from (Problem(pointer, problem.code, problem.message) for problem in refusal.problems)
    yield from header_problems(request.headers, "/target/http/headers")
    for name, value in request.headers.items():
        yield from _place_problems(value, f"/target/http/headers/{escaped(name)}")
    if not 1 <= len(request.success_status) <= 20:
        yield Problem("/target/http/successStatus", "invalid-status", "1 to 20 of 2xx or 204 are accepted")
    for position, status in enumerate(request.success_status[:20]):
        if _SUCCESS_STATUS.fullmatch(status) is None:
            place = f"/target/http/successStatus/{position}"
            yield Problem(place, "invalid-status", "a status such as 204 or a class such as 2xx is accepted")


def _place_problems(text: str, pointer: str) -> Iterator[Problem]:
    for name in unknown_places(text):
        known = " ".join(sorted(PLACE_NAMES))
        yield Problem(
            pointer,
            "unknown-place",
            f"nothing fills ${{{name[:64]}}}: known are {known}; a literal dollar is written $$",
        )


def _payload_problems(definition: ScheduleDefinition, tenant_id: str) -> Iterator[Problem]:
    if definition.payload is None:
        return
    yield from _string_problems(definition.payload, "/payload")
    size = _largest_rendering(msgspec.json.encode(definition.payload).decode(), definition, tenant_id)
    if size > LARGEST_PAYLOAD:
        message = f"with its places filled the payload can have {size} bytes; {LARGEST_PAYLOAD} are accepted"
        yield Problem("/payload", "payload-too-large", message)


def _string_problems(value: object, pointer: str) -> Iterator[Problem]:
    match value:
        case str():
            if "\x00" in value:
                yield Problem(pointer, "invalid-text", "the character U+0000 is not accepted")
            if "$" in value:
                yield from _place_problems(value, pointer)
        case dict():
            for name, member in value.items():
                yield from _string_problems(name, pointer)
                yield from _string_problems(member, f"{pointer}/{escaped(name)}")
        case list():
            for position, item in enumerate(value):
                yield from _string_problems(item, f"{pointer}/{position}")


def _largest_rendering(text: str, definition: ScheduleDefinition, tenant_id: str) -> int:
    lengths = {
        **_LONGEST_VALUES,
        "tenantId": len(tenant_id),
        "scheduleName": len(msgspec.json.encode(definition.name)),
        "key": len(definition.key or ""),
        "tz": len(definition.tz),
    }
    grown = sum(lengths.get(match[1], 0) - len(match[0]) for match in _PLACE.finditer(text))
    return len(text.encode()) + max(grown, 0)


def _combination_problems(definition: ScheduleDefinition) -> Iterator[Problem]:
    trigger = definition.trigger
    is_chained = isinstance(trigger, FixedDelayTrigger) and trigger.anchor == "COMPLETION"
    if is_chained and definition.exclude is not None:
        message = (
            "a delay that runs from completion has no calendar to exclude from; use anchor SCHEDULE or a CRON trigger"
        )
        yield Problem("/exclude", "not-with-completion-anchor", message)
    if definition.start_at is not None and definition.end_at is not None and definition.end_at < definition.start_at:
        yield Problem("/endAt", "ends-before-start", "endAt is not before startAt")
    if definition.completion == "CALLBACK" and not isinstance(definition.target, HttpTarget):
        message = "only the receiver of an HTTP request can call back; use an HTTP target, or leave completion out"
        yield Problem("/completion", "callback-without-http", message)
    yield from year_problems({"/startAt": definition.start_at, "/endAt": definition.end_at})
