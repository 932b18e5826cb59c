"""Whether the instances of templates are those that answered requests made and did not delete."""

from collections.abc import Iterator

from tests.chaos.evidence import Defect
from tests.chaos.history import History


def template_defects(history: History) -> Iterator[Defect]:
    stored = {(row.tenant_id, row.template, row.key): row.schedule_id for row in history.instances}
    wanted = {
        (story.tenant_id, *story.instance): story.schedule_id
        for story in history.stories
        if story.instance is not None and not story.is_deleted
    }
    for place, schedule_id in wanted.items():
        if stored.get(place) != schedule_id:
            yield Defect("instance-lost", schedule_id, None, f"{'/'.join(place)} is {stored.get(place)}")
    for place in sorted(stored.keys() - wanted.keys()):
        yield Defect("instance-left", stored[place], None, f"{'/'.join(place)} was deleted, or never asked for")
