"""The templates that come with a release: data files beside this one, of the form that a tenant's own have."""

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from scheduler_domain.domain.template import StoredTemplate, Template

VERSION: Final = 1
"""Raised whenever one of the files changes, so that an instance tells which edition made it."""

_NAMES: Final = ("anniversary", "birthday", "reminder")
_decode = msgspec.json.Decoder(Template).decode


@cache
def built_in_templates() -> dict[str, StoredTemplate]:
    """Return the built-in templates by name."""
    folder = files(__package__)
    texts = (folder.joinpath(f"{name}.json").read_bytes() for name in _NAMES)
    return {
        template.name: StoredTemplate(template=template, version=VERSION, is_built_in=True)
        for template in map(_decode, texts)
    }
