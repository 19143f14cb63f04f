"""Whether the configured providers can be asked, for `apicache doctor`; asks none, shows no key."""

import msgspec

from apicache.chain.asking import needs
from apicache.chain.settings import ProviderSettings
from apicache.errors import InputError
from apicache.providers import named


class ProviderState(msgspec.Struct, frozen=True, kw_only=True):
    """One provider of the configured order."""

    name: str
    ready: bool
    """Whether its key is set, or it is switched on."""
    needs: str | None = None
    """What is to be set or corrected first; None for nothing."""
    operations: tuple[str, ...] = ()


def states_of(settings: ProviderSettings) -> list[ProviderState]:
    """The providers in the configured order."""
    return [_state(name, settings) for name in settings.order]


def _state(name: str, settings: ProviderSettings) -> ProviderState:
    try:
        provider = named(name, settings.tables)
        missing = needs(provider)
    except InputError as error:
        return ProviderState(name=name, ready=False, needs=str(error))
    return ProviderState(name=name, ready=missing is None, needs=missing, operations=tuple(sorted(provider.operations)))
