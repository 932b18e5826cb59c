"""Every refusal the product can give, in one tree.

    SchedulerError
    ├── InvalidRequest            400  invalid-request       what was sent cannot be read
    │   └── InvalidField          422  invalid-field         one named place is not acceptable
    ├── Unauthenticated           401  unauthenticated
    ├── Forbidden                 403  forbidden
    ├── NotFound                  404  not-found
    ├── Conflict                  409  conflict
    │   ├── KeyTaken              409  key-taken
    │   └── NotAwaited            409  not-awaited           a callback that comes too late
    ├── VersionMismatch           412  version-mismatch
    ├── PreconditionUnreadable    400  precondition-unreadable
    ├── IdempotencyMismatch       422  idempotency-mismatch
    ├── Unavailable               503  unavailable           a dependency is away; carries when to ask again
    └── ConfigurationError         -   configuration         a process cannot start as configured

Driver exceptions become one of these once, in the adapter; these become problem+json once, at the edge.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request: a JSON pointer, a stable code, and what would be accepted."""

    pointer: str
    code: str
    message: str


@dataclass
class SchedulerError(Exception):
    """A refusal with a stable kebab-case `code` and a sentence for the person who caused it."""

    message: str
    code: ClassVar[str] = "error"

    def __str__(self) -> str:
        return self.message


@dataclass
class InvalidRequest(SchedulerError):
    code: ClassVar[str] = "invalid-request"
    problems: tuple[Problem, ...] = field(default=())


@dataclass
class InvalidField(InvalidRequest):
    code: ClassVar[str] = "invalid-field"

    @classmethod
    def at(cls, pointer: str, code: str, message: str) -> "InvalidField":
        return cls(message, (Problem(pointer, code, message),))


@dataclass
class Unauthenticated(SchedulerError):
    code: ClassVar[str] = "unauthenticated"


@dataclass
class Forbidden(SchedulerError):
    code: ClassVar[str] = "forbidden"


@dataclass
class NotFound(SchedulerError):
    code: ClassVar[str] = "not-found"


@dataclass
class Conflict(SchedulerError):
    code: ClassVar[str] = "conflict"


@dataclass
class KeyTaken(Conflict):
    code: ClassVar[str] = "key-taken"


@dataclass
class NotAwaited(Conflict):
    code: ClassVar[str] = "not-awaited"


@dataclass
class VersionMismatch(SchedulerError):
    code: ClassVar[str] = "version-mismatch"


@dataclass
class PreconditionUnreadable(SchedulerError):
    code: ClassVar[str] = "precondition-unreadable"


@dataclass
class IdempotencyMismatch(SchedulerError):
    code: ClassVar[str] = "idempotency-mismatch"


@dataclass
class Unavailable(SchedulerError):
    code: ClassVar[str] = "unavailable"
    retry_after: timedelta = timedelta(seconds=2)


@dataclass
class ConfigurationError(SchedulerError):
    code: ClassVar[str] = "configuration"
