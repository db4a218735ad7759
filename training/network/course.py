"""A training as it stands: the net, its running average, the best average so far, the optimiser, the steps done.

All of it goes into a checkpoint and comes back from one (checkpoint.py). The price: four times the weights in memory,
beside the optimiser's two moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from training.network.config import Config
from training.network.framework import torch

_MOMENTS = ("exp_avg", "exp_avg_sq")  # what AdamW keeps of each weight, besides the count of steps


@dataclass(slots=True)
class Standing:
    """How far a training is and how it went; all that is not a tensor."""

    steps: int = 0
    epochs: int = 0
    metrics: list[float] = field(default_factory=list)  # after each epoch, on the held rows
    losses: list[float] = field(default_factory=list)
    best: float | None = None  # metric
    best_epoch: int = 0
    ended: str | None = None  # "epochs", "patience" or "time"


class Course:
    """Changes as it goes; of one net on one device."""

    def __init__(self, net: Any, config: Config) -> None:
        self.net, self.config, self.standing = net, config, Standing()
        self.average = deepcopy(net).eval().requires_grad_(False)
        self.best = deepcopy(self.average)
        self.optimiser = torch.optim.AdamW(net.parameters(), lr=config.rate, weight_decay=config.decay)

    def average_in(self) -> None:
        """A step was done: the average goes a little way towards the weights, further in the beginning."""
        self.standing.steps += 1
        kept = min(self.config.average, self.standing.steps / (self.standing.steps + 10))
        for slow, fast in zip(self.average.parameters(), self.net.parameters(), strict=True):
            slow.lerp_(fast.detach(), 1.0 - kept)

    def epoch_done(self, judged: tuple[float, float] | None) -> None:
        """Counts it; of what was judged (metric, loss) the average is the best so far, or one more that is not."""
        standing = self.standing
        standing.epochs += 1
        if judged is not None:
            standing.metrics.append(judged[0])
            standing.losses.append(judged[1])
            if standing.best is None or judged[0] > standing.best:
                standing.best, standing.best_epoch = judged[0], standing.epochs
                self.best.load_state_dict(self.average.state_dict())
            elif standing.epochs - standing.best_epoch >= self.config.patience:
                standing.ended = "patience"
        if standing.epochs == self.config.epochs:
            standing.ended = "epochs"

    @property
    def outcome(self) -> Any:
        """The best average, or the average as it stands where none was judged."""
        return self.average if self.standing.best is None else self.best

    def states(self) -> dict[str, dict[str, Any]]:
        """All tensors, by what they are and their name."""
        held = self.optimiser.state
        moments = {
            moment: {name: held[one][moment] for name, one in self.net.named_parameters() if one in held}
            for moment in _MOMENTS
        }
        nets = {"weights": self.net, "average": self.average, "best": self.best}
        return {name: net.state_dict() for name, net in nets.items()} | moments

    def as_json(self) -> dict[str, Any]:
        return asdict(self.standing)

    def resume(self, standing: Mapping[str, Any], states: Mapping[str, Mapping[str, Any]]) -> None:
        """Goes on where these were kept; one that the clock had ended has time again."""
        self.standing = Standing(**standing)
        if self.standing.ended == "time":
            self.standing.ended = None
        for name, net in (("weights", self.net), ("average", self.average), ("best", self.best)):
            net.load_state_dict(states[name])
        steps = torch.tensor(float(self.standing.steps))
        for name, one in self.net.named_parameters():
            if name in states.get(_MOMENTS[0], {}):
                held = {moment: states[moment][name].to(one.device) for moment in _MOMENTS}
                self.optimiser.state[one] = {"step": steps.clone(), **held}
