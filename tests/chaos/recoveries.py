"""What operators do while things fail: run by hand, make up for the past, try dead letters again."""

import random
import time

from tests.chaos.definitions import Definitions, in_utc
from tests.chaos.history import Backfill, Chain, Once, Replay, Story
from tests.chaos.receiver import Receiver
from tests.chaos.requests import Requests

_LONGEST_BACKFILL = 20
_LONGEST_IN_LINE = 8
_LATEST_END = 3


class Recoveries:
    def __init__(self, requests: Requests, definitions: Definitions, draw: random.Random, receiver: Receiver) -> None:
        self._requests = requests
        self._definitions = definitions
        self._draw = draw
        self._receiver = receiver

    async def trigger(self, story: Story) -> None:
        path = f"/schedules/{story.schedule_id}/trigger"
        answer = await self._requests.acknowledged(story.tenant_id, "POST", path, {}, self._definitions.key())
        story.manual.add(answer.json()["id"])

    async def backfill(self, story: Story) -> None:
        """Make up for some seconds that are just over. Not of a chain, nor of a greeting, whose rule is not its day."""
        if isinstance(story.rule, Chain) or (isinstance(story.rule, Once) and story.instance is not None):
            return
        end = int(time.time()) - self._draw.randrange(_LATEST_END)
        longest = _LONGEST_BACKFILL if story.overlap == "ALLOW_ALL" else _LONGEST_IN_LINE
        start = end - self._draw.randrange(1, longest)
        body = {"from": in_utc(start), "to": in_utc(end)}
        path = f"/schedules/{story.schedule_id}/backfill"
        sent_at = time.time()
        answer = await self._requests.acknowledged(story.tenant_id, "POST", path, body, self._definitions.key())
        counts = answer.json()
        story.backfills.append(
            Backfill(
                story.rule,
                start,
                end,
                sent_at,
                time.time(),
                counts["created"],
                counts["alreadyPresent"],
                counts["stillToPlan"],
            )
        )

    async def replay(self, story: Story) -> None:
        """Have the receiver mended, and try again: one dead letter, or all of the schedule."""
        path = f"/schedules/{story.schedule_id}/occurrences?status=FAILED"
        dead = (await self._requests.acknowledged(story.tenant_id, "GET", path)).json()["items"]
        if not dead:
            return
        if self._draw.random() < 0.5:
            await self._replay_one(story, self._draw.choice(dead)["id"])
        else:
            await self._replay_all(story, [occurrence["id"] for occurrence in dead])

    async def _replay_one(self, story: Story, id_: str) -> None:
        self._receiver.mended.add(id_)
        sent_at = time.time()
        path = f"/occurrences/{id_}/replay"
        await self._requests.acknowledged(story.tenant_id, "POST", path, {}, self._definitions.key())
        story.replays.append(Replay(id_, sent_at, time.time()))

    async def _replay_all(self, story: Story, ids: list[str]) -> None:
        self._receiver.mended |= {*ids, story.schedule_id}
        body = {"status": "FAILED", "scheduleId": story.schedule_id}
        sent_at = time.time()
        answer = await self._requests.acknowledged(
            story.tenant_id, "POST", "/occurrences/replay", body, self._definitions.key()
        )
        if answer.json()["replayed"] < len(ids):
            self._requests.refused.append(f"of {len(ids)} dead letters {answer.json()} were replayed")
        story.replays += [Replay(id_, sent_at, time.time()) for id_ in (None, *ids)]
