"""Engine and brute-force oracle agree on generated rules: all zones with changes, all policies, cron and RRULE."""

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import judge
from tests.unit.triggers.generator import Case, cron_case, repeatable, rrule_case

CASES_OF_EACH_KIND = 1_100

agreeing = settings(
    max_examples=CASES_OF_EACH_KIND,
    derandomize=True,
    deadline=None,
    database=None,
    # a case is drawn from one number, which has nothing to shrink
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
numbers = st.integers(0, 2**48)


@agreeing
@given(numbers)
def test_cron_rules_fire_when_the_oracle_says(number: int) -> None:
    assert_agreement(cron_case(repeatable(number)))


@agreeing
@given(numbers)
def test_recurrences_fire_when_the_oracle_says(number: int) -> None:
    assert_agreement(rrule_case(repeatable(number)))


def assert_agreement(case: Case) -> None:
    _, difference = judge(case)
    assert difference is None, f"{case}: {difference}"
