"""Ranks: one process, or several under `torchrun` that share each batch and hold the same weights.

    torchrun --nproc-per-node 2 ...     each takes every second row of a batch, gradients are averaged

On CPUs they talk by gloo, on GPUs by nccl. Rank 0 judges, tells and keeps checkpoints, and its word ends the training
of all. The price: a batch must be a multiple of the ranks, and sums are rounded otherwise than in one process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from training.network.framework import Tensor, torch


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of how many processes this is, and what it computes on."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        return self.rank == 0

    def own(self, rows: Tensor) -> Tensor:
        """Every `count`-th row of a batch."""
        return rows[self.rank :: self.count]

    def shared(self, net: Any) -> Any:
        """The net as it is trained: its gradients are the means of all ranks'."""
        return torch.nn.parallel.DistributedDataParallel(net) if self.count > 1 else net

    def agreed(self, word: float) -> float:
        """What rank 0 says."""
        if self.count == 1:
            return word
        told = torch.tensor([word], dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(told, src=0)
        return float(told.item())


@contextmanager
def ranks(env: Mapping[str, str], device: str | None = None) -> Iterator[Ranks]:
    """This process among those that `torchrun` started, by the environment that it gives to each.

    `device` None: a GPU where there is one. A group that the program has made itself is used and left as it is.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    count = int(env.get("WORLD_SIZE", "1"))
    if device == "cuda":
        device = f"cuda:{env.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    if count == 1:
        yield Ranks(device=device)
        return
    if torch.distributed.is_initialized():
        yield Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size(), device)
        return
    torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Ranks(torch.distributed.get_rank(), count, device)
    finally:
        torch.distributed.destroy_process_group()
