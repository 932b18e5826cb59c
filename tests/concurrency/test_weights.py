"""Weights from the table to the order of claims: who weighs three times as much is claimed three times as often."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from scheduler_domain.application.claim_occurrences import CLAIM_AHEAD, ROWS_PER_CLAIM
from scheduler_domain.application.follow_tzdata import FollowTzdata
from scheduler_domain.application.follow_weights import FollowWeights
from scheduler_domain.application.materialise_occurrences import MaterialiseOccurrences
from scheduler_domain.application.ports.tracing import UNTRACED
from scheduler_domain.domain.fairness import StartTags, Weights
from scheduler_domain.domain.schedule import OneShotTrigger
from scheduler_domain.infra.postgres.cursors import PostgresCursors
from scheduler_domain.infra.postgres.database_clock import DatabaseClock
from scheduler_domain.infra.postgres.due_queue import PostgresDueQueue
from scheduler_domain.infra.postgres.leadership import PostgresLeadership
from scheduler_domain.infra.postgres.pool import open_tenant_pool
from scheduler_domain.infra.postgres.tenant_weights import ROWS_PER_PAGE, PostgresTenantWeights
from scheduler_domain.infra.postgres.zone_moves import PostgresZoneMoves
from scheduler_domain.infra.telemetry.measurements import PrometheusMeasurements
from tests.support.stored import definition, store_schedules

EACH = 4_000


class Planner:
    """What plans in a dispatcher, with the weights that it goes by."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.weights, clock = Weights(), DatabaseClock()
        tags = StartTags(self.weights)
        self.follow_weights = FollowWeights(PostgresTenantWeights(pool.fetch), self.weights)
        self.materialise = MaterialiseOccurrences(
            PostgresCursors(pool),
            PostgresLeadership(pool),
            clock,
            PrometheusMeasurements(CollectorRegistry()),
            UNTRACED,
            timedelta(seconds=60),
            FollowTzdata(PostgresZoneMoves(pool, clock), clock, tags),
            tags,
        )


@pytest.fixture
def planner(pool: asyncpg.Pool) -> Planner:
    return Planner(pool)


async def weigh(connection: asyncpg.Connection, **by_tenant: float) -> None:
    await connection.executemany(
        "INSERT INTO scheduler.tenant (id, weight, created_at, updated_at) VALUES ($1, $2, now(), now())"
        " ON CONFLICT (id) DO UPDATE SET weight = excluded.weight",
        list(by_tenant.items()),
    )


async def planned_herd(connection: asyncpg.Connection, planner: Planner, tenants: Sequence[str], count: int) -> None:
    """Have as many occurrences of each tenant planned for one instant, which claims look ahead to."""
    await planner.follow_weights.step()
    now = datetime.now(UTC)
    herd = definition(OneShotTrigger((now + timedelta(seconds=2)).isoformat()))
    for tenant in tenants:
        await store_schedules(connection, tenant, count, of=herd, planned_from=now)
    while await planner.materialise.step():
        pass
    assert await connection.fetchval("SELECT count(*) FROM scheduler.due_queue") == len(tenants) * count


async def claimed_tenants(pool: asyncpg.Pool) -> list[str]:
    """Claim everything as a dispatcher does, and return whose each was, in the order of the claims."""
    queue = PostgresDueQueue(pool, dispatcher_id=1)
    tenants: list[str] = []
    from_tag = None
    while batch := await queue.claim(ROWS_PER_CLAIM, CLAIM_AHEAD, from_tag):
        tenants += [item.tenant_id for item in batch]
        from_tag = batch[-1].start_tag
    return tenants


@pytest.mark.parametrize("weights", [{"heavy": 3.0}, {"light": 0.5, "heavy": 1.5}], ids=["one-to-three", "half"])
async def test_of_a_herd_a_tenant_of_threefold_weight_is_claimed_three_times_as_often_while_both_have_work(
    connection: asyncpg.Connection, pool: asyncpg.Pool, planner: Planner, weights: dict[str, float]
) -> None:
    await weigh(connection, **weights)
    await planned_herd(connection, planner, ("light", "heavy"), EACH)
    claimed = await claimed_tenants(pool)
    assert Counter(claimed) == {"light": EACH, "heavy": EACH}
    last_of_heavy = len(claimed) - 1 - claimed[::-1].index("heavy")
    assert Counter(claimed[:last_of_heavy])["light"] == pytest.approx(EACH / 3, rel=0.01)
    for batch in range(0, last_of_heavy - 500, 500):
        assert Counter(claimed[batch : batch + 500])["heavy"] == pytest.approx(375, abs=3)
    assert set(claimed[last_of_heavy + 1 :]) == {"light"}


async def test_tenants_that_were_never_stored_take_turns(
    connection: asyncpg.Connection, pool: asyncpg.Pool, planner: Planner
) -> None:
    await planned_herd(connection, planner, ("one", "two"), 500)
    claimed = await claimed_tenants(pool)
    assert all(Counter(claimed[batch : batch + 100])["one"] == 50 for batch in range(0, 1_000, 100))


async def test_a_new_weight_counts_for_what_is_planned_after_it_was_read(
    connection: asyncpg.Connection, pool: asyncpg.Pool, planner: Planner
) -> None:
    await weigh(connection, changing=3.0)
    await planner.follow_weights.step()
    await weigh(connection, changing=1.0)
    await planned_herd(connection, planner, ("changing", "steady"), 300)
    assert Counter((await claimed_tenants(pool))[:200]) == {"changing": 100, "steady": 100}


async def test_more_weights_than_one_page_holds_are_all_read_and_those_that_do_not_differ_are_not(
    connection: asyncpg.Connection, pool: asyncpg.Pool, database: str
) -> None:
    count = 2 * ROWS_PER_PAGE
    await connection.execute(
        "INSERT INTO scheduler.tenant (id, weight, created_at, updated_at)"
        " SELECT 't' || n, CASE WHEN n <= $1 THEN 2 ELSE 1 END, now(), now()"
        " FROM generate_series(1, $1::integer + 50) AS n",
        count,
    )
    expected = {f"t{number}": 2.0 for number in range(1, count + 1)}
    assert await PostgresTenantWeights(pool.fetch).by_tenant() == expected
    async with open_tenant_pool(database) as api_pool:
        assert await PostgresTenantWeights(api_pool.platform_rows).by_tenant() == expected


async def test_weights_that_cannot_be_read_stay_as_they_were(
    connection: asyncpg.Connection, pool: asyncpg.Pool, planner: Planner
) -> None:
    await weigh(connection, heavy=3.0)
    await planner.follow_weights.step()
    await connection.execute("ALTER TABLE scheduler.tenant RENAME TO tenant_away")
    with pytest.raises(asyncpg.UndefinedTableError):
        await planner.follow_weights.step()
    await connection.execute("ALTER TABLE scheduler.tenant_away RENAME TO tenant")
    assert planner.weights.steps.keys() == {"heavy"}
