"""Small pieces of English that the rules in words are made of: lists, ranges, ordinals, times of the day."""

from collections.abc import Sequence

DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_MOST_LISTED = 8


def listed(words: Sequence[str], conjunction: str = "and") -> str:
    """
    >>> listed(["Monday", "Tuesday", "Friday"])
    'Monday, Tuesday and Friday'
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def runs(numbers: Sequence[int], names: Sequence[str] | None = None, first: int = 0) -> str:
    """Return ascending numbers as a list in which three or more neighbours are a range; `first` is named `names[0]`.

    >>> runs([1, 2, 3, 7])
    '1 to 3 and 7'
    """
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    words = []
    for span in spans:
        shown = [str(number) if names is None else names[number - first] for number in span]
        words += [f"{shown[0]} to {shown[-1]}"] if len(span) > 2 else shown
    return listed(words)


def ordinal(number: int) -> str:
    """
    >>> [ordinal(n) for n in (1, 2, 3, 11, 22, -1, -2)]
    ['1st', '2nd', '3rd', '11th', '22nd', 'last', '2nd last']
    """
    if number == -1:
        return "last"
    absolute = abs(number)
    ending = "th" if absolute % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(absolute % 10, "th")
    return f"{absolute}{ending}" + (" last" if number < 0 else "")


def weekdays(numbers: Sequence[int]) -> str:
    """Return weekdays (0 is Monday) as words.

    >>> weekdays([0, 1, 2, 3, 4])
    'Monday to Friday'
    """
    return runs(sorted(numbers), DAY_NAMES)


def months(numbers: Sequence[int]) -> str:
    """
    >>> months([6, 7, 8])
    'June to August'
    """
    return runs(sorted(numbers), MONTH_NAMES, first=1)


def elapsed(seconds: int) -> str:
    """Return a duration in its largest whole unit; a day is always called 24 hours.

    >>> elapsed(5400), elapsed(86400), elapsed(1)
    ('90 minutes', '24 hours', 'second')
    """
    for unit, size in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds % size == 0:
            count = seconds // size
            return unit if count == 1 else f"{count:,} {unit}s"
    raise AssertionError("every number of seconds is a multiple of one")


def clock(hours: Sequence[int], minutes: Sequence[int], seconds: Sequence[int]) -> str:
    """Return the times of a day in words.

    >>> clock([9], [0], [0])
    'at 09:00'
    >>> clock(range(24), range(0, 60, 15), [0])
    'every 15 minutes'
    >>> clock(range(9, 18), [0, 20], [0])
    'at minutes 0 and 20 past the hours 9 to 17'
    """
    if len(hours) * len(minutes) * len(seconds) <= _MOST_LISTED and len(hours) < 24:
        return "at " + listed([_time(h, m, s) for h in hours for m in minutes for s in seconds])
    finest = _every("second", seconds) if tuple(seconds) != (0,) else None
    middle = _every("minute", minutes)
    if finest is not None:
        past = "" if len(minutes) == 60 else f" in {_numbered('minute', minutes)}"
        return f"{finest}{past}{_hours(hours)}"
    if middle.startswith("every"):
        return middle + _hours(hours)
    if len(hours) == 24:
        return "every hour, on the hour" if tuple(minutes) == (0,) else f"{middle} past every hour"
    return f"{middle} past {_numbered('the hour', hours, 'the hours')}"


def _time(hour: int, minute: int, second: int) -> str:
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def _every(unit: str, numbers: Sequence[int]) -> str:
    if len(numbers) == 60:
        return f"every {unit}"
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 0
    if step > 1 and 60 % step == 0 and list(numbers) == list(range(0, 60, step)):
        return f"every {step} {unit}s"
    return f"at {_numbered(unit, numbers)}"


def _numbered(singular: str, numbers: Sequence[int], plural: str | None = None) -> str:
    return f"{singular if len(numbers) == 1 else plural or singular + 's'} {runs(numbers)}"


def _hours(hours: Sequence[int]) -> str:
    if len(hours) == 24:
        return ""
    if len(hours) > 1 and hours[-1] - hours[0] == len(hours) - 1:
        return f" from {hours[0]:02}:00 to {hours[-1]:02}:59"
    return f" during {_numbered('the hour', hours, 'the hours')}"
