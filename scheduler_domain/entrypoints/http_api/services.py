"""What the routes work with: the use cases, composed once in bootstrap and reached through the application's state."""

from typing import Final

from scheduler_domain.bootstrap.api import ApiServices
from scheduler_domain.entrypoints.http_api.limits import RefusedTokens, RequestRate
from scheduler_domain.entrypoints.http_api.request_scope import Scope

_SERVICES: Final = "services"


class RunningServices:
    """The use cases together with what this process counts about its clients."""

    def __init__(self, services: ApiServices, request_rate: float | None) -> None:
        self.identity = services.identity
        self.clock = services.clock
        self.use = services
        self.refused_tokens = RefusedTokens()
        self.request_rate = None if request_rate is None else RequestRate(request_rate)


def services_of(scope: Scope) -> RunningServices:
    services = scope["litestar_app"].state[_SERVICES]
    assert isinstance(services, RunningServices)
    return services
