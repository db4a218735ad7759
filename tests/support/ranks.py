"""One rank of a training under torchrun: writes the model's files to OUT/<rank>/ and checks nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from models.network import Network
from tests.support.training import NAMES, orders
from training.fits.network import fit
from training.network.config import Config


def train_here() -> Network:
    """Without dropout, whose chance is each rank's own."""
    x, fraud, kinds = orders(900)
    config = Config(width=8, hidden=16, attention_heads=2, batch=100, epochs=4, rate=5e-3, average=0.9, dropout=0.0)
    later = orders(600, seed=8)[:2]
    return fit(x, fraud, NAMES, seed=1, types=kinds, validation=later, options=config, device="cpu")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) / os.environ["RANK"]
    folder.mkdir()
    for name, content in train_here().files().items():
        (folder / name).write_bytes(content)
