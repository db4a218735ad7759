"""The training loop: one function, read from top to bottom.

Batch, loss, backward, clip, step, average, tell; after each epoch the running average of the weights is judged on rows
of a later time, and the best one is what comes out. Chance is a function of the seed and the number of the step, so a
training that was killed and goes on from its checkpoint is the one that never was, bit by bit on one CPU thread. The
clock may end it at any step: the best so far comes out then, or the average as it stands where none was judged yet.

The price: the average and the best are two more copies of the weights, and judging costs a pass over the held rows.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from training.metrics import Scored
from training.network.config import Config
from training.network.course import Course
from training.network.framework import Tensor, torch
from training.network.losses import loss_of
from training.network.net import Net
from training.network.ranks import Ranks
from training.network.rows import Rows
from training.network.watch import EVERY, Watch

_JUDGED_AT_ONCE: Final = 8192  # rows


def train(net: Net, rows: Rows, held: Rows | None, config: Config, *, seed: int, ranks: Ranks, watch: Watch) -> Course:
    """Trains `net` on `rows`; `held` are of a later time. Without them all epochs are done, and the last average is it.

    Raises CheckpointError where the watch keeps the checkpoint of another training.
    """
    size = min(config.batch, len(rows)) // ranks.count * ranks.count
    batches = len(rows) // size  # an epoch; what is left over is among those of the next one
    course = Course(net.to(ranks.device), config)
    watch.resume(course)
    standing, shared, order_of = course.standing, ranks.shared(course.net.train()), -1
    while standing.ended is None:
        epoch, at = divmod(standing.steps, batches)
        if epoch != order_of:
            order, order_of = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(rows))), epoch
        batch = rows.at(ranks.own(order[at * size : (at + 1) * size]), ranks.device)
        torch.manual_seed(chance(seed, standing.steps, ranks.rank))  # of dropout
        loss = loss_of(shared(batch.x), batch, config)  # (B, w) -> (B, 2 + K) -> ()
        course.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(course.net.parameters(), config.clip)
        course.optimiser.param_groups[0]["lr"] = config.rate * pace(
            standing.steps / batches / config.epochs, config.warm
        )
        course.optimiser.step()
        course.average_in()
        watch.add(float(loss.detach()))
        if whole := at + 1 == batches:
            course.epoch_done(judged(course.average, held, ranks))
        if whole or standing.steps % EVERY == 0:
            over = ranks.agreed(ranks.first and watch.is_over(course, batches * config.epochs))
            standing.ended = standing.ended or ("time" if over else None)
            if ranks.first:
                watch.keep(course, now=whole or bool(over))
    return course


def pace(done: float, warm: float) -> float:
    """The rate of learning as a share of its highest: up in a line while `warm`, then down along half a cosine."""
    if done < warm:
        return done / warm
    return 0.5 + 0.5 * math.cos(math.pi * (done - warm) / (1.0 - warm))


def chance(seed: int, step: int, rank: int) -> int:
    """What the chance of a step begins with."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])


def judged(net: Any, held: Rows | None, ranks: Ranks) -> tuple[float, float] | None:
    """Average precision and log loss of the fraud head on the held rows, as rank 0 finds them."""
    if held is None:
        return None
    found = _judged(net, held, ranks.device) if ranks.first else (0.0, 0.0)
    return ranks.agreed(found[0]), ranks.agreed(found[1])


def _judged(net: Any, held: Rows, device: str) -> tuple[float, float]:
    logit = logits(net, held.x, device)[:, 0]
    everyone, fraud = np.arange(len(held)), held.fraud.numpy() > 0.5
    precision = Scored(logit, fraud, everyone, np.zeros_like(everyone)).average_precision()
    return precision, float(np.logaddexp(0.0, np.where(fraud, -logit, logit)).mean())


def logits(net: Any, x: Tensor, device: str) -> Any:
    """(n, w) -> (n, 2 + K), float64"""
    with torch.no_grad():
        return torch.cat([net(part.to(device)).cpu() for part in x.split(_JUDGED_AT_ONCE)]).numpy().astype(np.float64)
