"""Whether the configured providers can be asked, for `apicache doctor`; asks none, shows no key."""

from typing import cast

import msgspec

from apicache.chain.parameters import header_value
from apicache.chain.readiness import is_local, needs
from apicache.chain.settings import ProviderSettings
from apicache.errors import InputError, did_you_mean
from apicache.policy import OPERATION_TTL
from apicache.provider import Provider
from apicache.providers import known, named


class ProviderState(msgspec.Struct, frozen=True, kw_only=True):
    """One provider of the configured order, or another one that has options."""

    name: str
    ready: bool
    """Whether its key is set, or it is switched on."""
    needs: str | None = None
    """What is to be set or corrected first, or why calls pass it over; None for nothing."""
    operations: tuple[str, ...] = ()
    models: dict[str, str] = {}
    """By operation, the model that is asked for where the call names none."""
    in_order: bool = True
    wrong: bool = False
    """Whether something of what is set for it cannot be meant."""


def states_of(settings: ProviderSettings) -> list[ProviderState]:
    """The providers in the configured order, then those that have options and are not in it."""
    others = [name for name in settings.tables if name not in settings.order]
    return [_state(name, settings) for name in (*settings.order, *others)]


def _state(name: str, settings: ProviderSettings) -> ProviderState:
    in_order = name in settings.order
    try:
        provider = named(name, settings.tables)
        missing = needs(provider)
        if not is_local(provider):
            _check(cast("Provider", provider))
    except InputError as error:
        told = str(error)
        if name in settings.tables and name not in known():
            told += f"; a table of this name declares an endpoint: {did_you_mean(name, known())}"
        return ProviderState(name=name, ready=False, needs=told, in_order=in_order, wrong=True)
    operations = tuple(sorted(provider.operations))
    models = {operation: provider.model_for(operation) for operation in operations}
    if missing is None and not in_order and provider.operations <= OPERATION_TTL.keys():  # others it is asked for
        missing = f"not in the order: calls ask it by provider={name!r} alone"
        return ProviderState(name=name, ready=True, needs=missing, operations=operations, models=models, in_order=False)
    return ProviderState(
        name=name, ready=missing is None, needs=missing, operations=operations, models=models, in_order=in_order
    )


def _check(provider: Provider) -> None:
    """Raises InputError for a base URL, or a key, that no request can be sent with."""
    provider.account()
    if provider.key_variable:
        header_value(provider.key_variable)
