"""Boosted trees: risk = 1 / (1 + e^-(sum of leaves)), as LightGBM fits them, without LightGBM.

`model.txt` is LightGBM's own text, as `Booster.save_model` writes it, and may come from any LightGBM of version 4 or 3:
what is kept is what was read, byte for byte. `inputs.json` names the features that some split asks for. Sums are equal
to LightGBM's to 1e-9 (it adds in the same order), contributions to its `pred_contrib`: what each column adds to the
log-odds, exactly (models/shares.py).

Score and contributions have the same bytes on any CPU and in any batch. What a tree has never seen is treated like the
nearest that it has: no input can run away. The price: 300 trees of 31 leaves are some microseconds an order, and most
of a millisecond for the contributions, which only orders that are stopped need (docs/models.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self

from models.documents import ArtefactError, file_of
from models.exact import Floats
from models.inputs import Inputs, inputs_of
from models.kernel.curve import risks
from models.lightgbm_text import parsed
from models.scorer import checked_width
from models.shares import Shares
from models.trees import Ensemble

FORMAT: Final = "boosted 1"
TEXT_FILE: Final = "model.txt"
INPUTS_FILE: Final = "inputs.json"


class Boosted:
    """A fitted model, bound to the vector whose columns it reads. A value: nothing changes it after construction."""

    kind: ClassVar[str] = "boosted"
    additive: ClassVar[bool] = True
    __slots__ = ("_booster", "_ensemble", "_inputs", "_shares", "_text", "width")

    def __init__(self, text: bytes, inputs: Inputs, names: Sequence[str]) -> None:
        """`inputs` are the features that are split on; `names` the columns of the vector. Raises ArtefactError."""
        self._text, self._inputs, self.width = text, inputs, len(names)
        self._booster = parsed(text, TEXT_FILE)
        if inputs.names != self._booster.read:
            raise ArtefactError(
                f"{INPUTS_FILE}: {len(inputs.names)} inputs: want the {len(self._booster.read)} features that "
                f"{TEXT_FILE} splits on, in its order: {', '.join(self._booster.read)}"
            )
        self._ensemble = Ensemble(self._booster.trees, inputs.columns(names, INPUTS_FILE))
        self._shares = Shares(self._ensemble, self._booster.cover, TEXT_FILE)

    @property
    def reads(self) -> tuple[str, ...]:
        return self._inputs.names

    @property
    def usual(self) -> Floats:
        return self._inputs.usual

    @property
    def base(self) -> float:
        """The log-odds that are expected of an order of which nothing is known."""
        return self._shares.base * self._booster.sigmoid

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) risk in [0, 1], rounded to 1e-6."""
        checked_width(x, self.width)
        values = self._ensemble.sums(x)
        risks(values, self._booster.sigmoid)
        return values

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, reads): what each feature adds to the log-odds."""
        checked_width(x, self.width)
        return self._shares.of(x) * self._booster.sigmoid

    def files(self) -> dict[str, bytes]:
        """LightGBM's text as it was read, and the inputs."""
        return {TEXT_FILE: self._text, INPUTS_FILE: self._inputs.encoded(FORMAT)}

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of `files`; raises ArtefactError."""
        inputs, _ = inputs_of(file_of(files, INPUTS_FILE), FORMAT, INPUTS_FILE)
        return cls(file_of(files, TEXT_FILE), inputs, names)
