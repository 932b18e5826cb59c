"""Who may do what within a tenant. An ordered ladder, and one role that stands beside it."""

from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"
    ADMIN = "admin"
    PLATFORM_ADMIN = "platform-admin"
    """Looks after tenants from outside; sees nothing within them."""


_LADDER = (Role.VIEWER, Role.OPERATOR, Role.EDITOR, Role.ADMIN)
_BY_NAME = {role.value: role for role in Role}


class Caller(Struct, frozen=True):
    """Who a verified token speaks for. `roles` holds what is known; an unknown role is no role."""

    tenant_id: str
    subject: str
    roles: frozenset[Role]

    def may(self, needed: Role) -> bool:
        """Return whether one of the roles is `needed` or above it on the ladder.

        >>> Caller("acme", "ada", frozenset({Role.EDITOR})).may(Role.OPERATOR)
        True
        >>> Caller("acme", "ada", frozenset({Role.PLATFORM_ADMIN})).may(Role.VIEWER)
        False
        """
        if needed not in _LADDER:
            return needed in self.roles
        return not self.roles.isdisjoint(_LADDER[_LADDER.index(needed) :])


def roles_of(claim: object) -> frozenset[Role]:
    """Read a role claim: a list of strings. Anything else, and every unknown name, grants nothing.

    >>> sorted(roles_of(["editor", "root"])), roles_of("editor")
    ([<Role.EDITOR: 'editor'>], frozenset())
    """
    if not isinstance(claim, list):
        return frozenset()
    return frozenset(_BY_NAME[name] for name in claim if isinstance(name, str) and name in _BY_NAME)
