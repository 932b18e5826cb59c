"""The one way a trigger is refused: without it, each caller would have to guess from a library's own exception."""


class TriggerError(ValueError):
    """A trigger that can not be accepted, in words that a person can act on.

    `code` is stable and kebab-case, `message` says what is accepted, and `field` names the offending
    input as a dotted path from the schedule (`trigger.cron`, `tz`, `exclude.dates`, `dst.gap`).
    """

    def __init__(self, code: str, message: str, field: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    def __reduce__(self) -> tuple[type["TriggerError"], tuple[str, str, str]]:
        """Survive a process boundary: the default would call the class with the message alone."""
        return (type(self), (self.code, self.message, self.field))
