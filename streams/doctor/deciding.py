"""What decides: the rules, the model in force.

Apart from the definitions, since what scores brings compiled loops along: half a second of imports, which brokers and
stores that do not answer can be waited for meanwhile (examine.py).
"""

from __future__ import annotations

import asyncio

from models.rules import RulesError
from schemas.settings import Settings
from streams.configuration import BadConfigurationError, Chosen, configured, of_folder, rules_text
from streams.doctor.finding import Broken, Check, Doubt
from streams.doctor.shop import Shop
from streams.models.choose import Chooser


class Deciding:
    """`shop`: its definitions are known to load."""

    def __init__(self, settings: Settings, shop: Shop) -> None:
        self._settings, self._shop = settings, shop

    def checks(self) -> list[tuple[str, Check]]:
        """What is looked at, in order."""
        return [("rules", self.rules), ("model", self.model)]

    async def rules(self) -> str:
        """Whether the rules load, over these features."""
        definitions = self._shop.definitions
        try:
            configured(definitions, rules_text(definitions, self._settings.rules), Chosen())
        except (BadConfigurationError, RulesError) as error:
            raise Broken(str(error)) from error
        return str(self._settings.rules or "the shop's own")

    async def model(self) -> str:
        """Whether what is in force can decide; workers go on without it, by rules alone."""
        return await asyncio.to_thread(self._model)

    def _model(self) -> str:
        settings, definitions = self._settings, self._shop.definitions
        default = of_folder(definitions, settings.model)
        if settings.model is not None or settings.registry.url is None:
            return _decides(default, named=settings.model is not None)
        choice = Chooser.of(settings, definitions).now()
        if choice.refused:
            label, why = next(iter(choice.refused.items()))
            raise Broken(f"{label} cannot be used ({why}): `headrace models rollback`, or promote another")
        if (champion := choice.deployment.champion) is not None:
            return f"{champion.label}, deployment {choice.deployment.number}"
        if choice.deployment.rules_only:
            return "rules alone, as was asked for by `headrace models deactivate`"
        return f"{_decides(default, named=False)}; none was promoted"


def _decides(chosen: Chosen, *, named: bool) -> str:
    """The model of a folder; raises Broken for one that cannot be used, Doubt where there is none."""
    if chosen.champion is not None:
        return f"{chosen.champion.manifest.name} {chosen.champion.manifest.version}"
    if named:
        raise Broken(f"{chosen.why}: mend it, or name another with HEADRACE_MODEL")
    raise Doubt(f"{chosen.why}; rules decide alone: promote one with `headrace models promote`, or set HEADRACE_MODEL")
