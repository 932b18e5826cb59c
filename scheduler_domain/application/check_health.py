"""Check health: may this process be sent requests, and how is each part that it or the dispatchers depend on."""

import asyncio
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from scheduler_domain.application.ports.health import Dependency, Finding

_LONGEST_LOOK: Final = 2.0


class Health(Struct, frozen=True):
    """`is_ready` by what the API cannot do without; `findings` by name, also of what it can."""

    is_ready: bool
    findings: dict[str, Finding]


class CheckHealth:
    """`needed` make the API ready; a lost one of `useful` degrades the product and leaves the API ready."""

    def __init__(self, needed: Mapping[str, Dependency], useful: Mapping[str, Dependency]) -> None:
        self._needed = needed
        self._useful = useful

    async def readiness(self) -> Health:
        """Return what is needed; asked of each instance every few seconds, so it looks at nothing else."""
        return _health(self._needed, await _examined(self._needed))

    async def detailed(self) -> Health:
        return _health(self._needed, await _examined({**self._needed, **self._useful}))


async def _examined(dependencies: Mapping[str, Dependency]) -> dict[str, Finding]:
    found = await asyncio.gather(*(_look(dependency) for dependency in dependencies.values()))
    return dict(zip(dependencies, found, strict=True))


async def _look(dependency: Dependency) -> Finding:
    try:
        async with asyncio.timeout(_LONGEST_LOOK):
            return await dependency.examine()
    except TimeoutError:
        return Finding(is_well=False, detail=f"does not answer within {_LONGEST_LOOK:g} s")


def _health(needed: Mapping[str, Dependency], findings: dict[str, Finding]) -> Health:
    return Health(all(findings[name].is_well for name in needed), findings)
