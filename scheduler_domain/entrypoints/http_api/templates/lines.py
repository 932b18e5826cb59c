"""A body of any length as numbered lines, taken apart as it arrives: NDJSON, or a JSON array of objects.

Memory is bounded by one line and one chunk of the body.
"""

import codecs
import json
from collections.abc import Iterator
from typing import Final, Protocol

LONGEST_LINE: Final = 16 * 1024

# What an array may go on with, beside an item where it is the first or after a comma.
_BEFORE, _FIRST, _BETWEEN, _ITEM, _AFTER = "[", "]", ",]", "\x00", ""
_FOLLOWING: Final = {"[": _FIRST, ",": _ITEM, "]": _AFTER}


class BrokenBody(Exception):
    """What is left of the body cannot be taken apart; the message says why."""


NumberedLine = tuple[int, bytes | None]
"""Counted from 1: the lines of NDJSON, blank ones included; the items of an array. None: longer than LONGEST_LINE."""


class Lines(Protocol):
    def feed(self, chunk: bytes) -> Iterator[NumberedLine]:
        """Yield the lines that are complete with this chunk. Raises BrokenBody."""

    def close(self) -> Iterator[NumberedLine]:
        """Yield what is left at the end of the body. Raises BrokenBody."""


class NdjsonLines:
    """One JSON object a line; blank lines say nothing. A line that is too long stops none of the others."""

    def __init__(self) -> None:
        self._number = 0
        self._rest = b""
        self._is_too_long = False

    def feed(self, chunk: bytes) -> Iterator[NumberedLine]:
        *lines, rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._line(line)
        self._rest = rest
        if len(rest) > LONGEST_LINE:
            self._is_too_long, self._rest = True, b""

    def close(self) -> Iterator[NumberedLine]:
        yield from self._line(self._rest)

    def _line(self, line: bytes) -> Iterator[NumberedLine]:
        self._number += 1
        if self._is_too_long or len(line) > LONGEST_LINE:
            self._is_too_long = False
            yield self._number, None
        elif line and not line.isspace():
            yield self._number, line


class ArrayItems:
    """The items of one JSON array. Where an item ends only a parser can tell, so nothing after a broken one is read."""

    def __init__(self) -> None:
        self._number = 0
        self._text = ""
        self._at = 0
        self._accepted = _BEFORE
        self._decoder = json.JSONDecoder()
        self._characters = codecs.getincrementaldecoder("utf-8")()

    def feed(self, chunk: bytes) -> Iterator[NumberedLine]:
        try:
            self._text = self._text[self._at :] + self._characters.decode(chunk)
        except UnicodeDecodeError:
            raise BrokenBody("the body is not UTF-8") from None
        self._at = 0
        while (item := self._next()) is not None:
            self._number += 1
            yield self._number, item

    def close(self) -> Iterator[NumberedLine]:
        if self._accepted != _AFTER:
            raise BrokenBody("the body ends before its array does")
        yield from ()

    def _next(self) -> bytes | None:
        """Return the next item; None until there is more of the body."""
        while (character := self._next_character()) is not None:
            if character in self._accepted:
                self._at += 1
                self._accepted = _FOLLOWING[character]
            elif self._accepted in {_FIRST, _ITEM}:
                return self._item()
            else:
                accepted = " or ".join(self._accepted) or "nothing"
                raise BrokenBody(f"after item {self._number} {accepted} is accepted, not {character!r}")
        return None

    def _next_character(self) -> str | None:
        while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
            self._at += 1
        return self._text[self._at] if self._at < len(self._text) else None

    def _item(self) -> bytes | None:
        begun = self._text[self._at : self._at + LONGEST_LINE + 1]
        try:
            _, end = self._decoder.raw_decode(begun)
        except (ValueError, RecursionError):
            end = 0
        if end == 0 or (end == len(begun) and begun[-1] not in '}]"'):  # it may go on
            if len(begun) > LONGEST_LINE:
                raise BrokenBody(f"item {self._number + 1} is not JSON, or too long")
            return None
        self._at += end
        self._accepted = _BETWEEN
        return begun[:end].encode()
