"""A history without a fault, told by hand, and ways to change it: what the tests of the checks begin with."""

from msgspec.structs import replace

from tests.chaos.checker import check
from tests.chaos.history import Action, Chain, Change, Delivery, Every, History, Once, Recorded, Story

BEGAN = 1_000_000
HORIZON = BEGAN + 100.5


def row(
    story: Story, at: float, status: str = "COMPLETED", reason: str | None = None, kind: str = "SCHEDULED"
) -> Recorded:
    return Recorded(key(story, at), story.schedule_id, kind, at, status, reason, at + 0.02)


def delivery(story: Story, at: float) -> Delivery:
    return Delivery(key(story, at), story.schedule_id, at, at + 0.001, at + 0.01, story.target)


def key(story: Story, at: float) -> str:
    return f"{story.schedule_id}-{at}"


def created(name: str, rule: Every | Once | Chain, *changes: Change) -> Story:
    creation = Change(Action.CREATED, BEGAN - 1.2, BEGAN - 1.1)
    return Story("tenant", name, "HTTP", rule, [creation, *changes], set())


EVERY_SECOND = created("every-second", Every(0, 1))
DELETED = created("deleted", Every(0, 1), Change(Action.DELETED, BEGAN + 49.2, BEGAN + 49.4))
PAUSED = created(
    "paused",
    Every(0, 2),
    Change(Action.PAUSED, BEGAN + 20.5, BEGAN + 20.6),
    Change(Action.RESUMED, BEGAN + 60.5, BEGAN + 60.6),
)
EDITED = created("edited", Every(0, 2), Change(Action.REPLANNED, BEGAN + 50.5, BEGAN + 50.6, Every(1, 5)))
ONE_SHOT = created("one-shot", Once(BEGAN + 30))
CHAIN = created("chain", Chain(10))


def instants(story: Story) -> list[int]:
    """What fires of each story, written down by hand rather than taken from the code under test."""
    seconds: dict[str, list[int]] = {
        "every-second": list(range(-1, 101)),
        "deleted": list(range(-1, 50)),
        "paused": [*range(0, 21, 2), *range(62, 101, 2)],
        "edited": [*range(0, 51, 2), *range(51, 101, 5)],
        "one-shot": [30],
        "chain": [],
    }
    return [BEGAN + second for second in seconds[story.schedule_id]]


def clean() -> History:
    stories = [EVERY_SECOND, DELETED, PAUSED, EDITED, ONE_SHOT, CHAIN]
    due: list[tuple[Story, float]] = [(story, at) for story in stories for at in instants(story)]
    due += [(CHAIN, BEGAN + round(10.02 * number, 2)) for number in range(1, 11)]
    return History(
        stories=stories,
        deliveries=[delivery(story, at) for story, at in due],
        ledger=[row(story, at) for story, at in due],
        queued=[],
        horizon=HORIZON,
    )


def without_delivery(history: History, story: Story, at: float) -> History:
    return replace(history, deliveries=[each for each in history.deliveries if each.key != key(story, at)])


def without_row(history: History, story: Story, at: float) -> History:
    return replace(history, ledger=[each for each in history.ledger if each.id != key(story, at)])


def with_row(history: History, added: Recorded) -> History:
    return replace(history, ledger=[*(each for each in history.ledger if each.id != added.id), added])


def with_delivery(history: History, added: Delivery) -> History:
    return replace(history, deliveries=[*history.deliveries, added])


def swapped(history: History, story: Story, at: float, **fields: object) -> History:
    changed = [replace(each, **fields) if each.key == key(story, at) else each for each in history.deliveries]
    return replace(history, deliveries=changed)


def kinds(history: History) -> set[str]:
    return {defect.kind for defect in check(history).defects}
