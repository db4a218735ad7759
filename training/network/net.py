"""The attention-fusion network: three encoders, the last orders as a sequence, cross-attention, three heads.

    transaction (B, t) -> token (B, d) ------- asks -------.
    user        (B, u) -> token (B, d) --.                 v
    orders   (B, T, c) -> tokens (B, T, d) + tell --> attended (B, d) --.
    device      (B, v) -> token (B, d) --'                              v
    [transaction, user, device, attended] -> fused (B, h) -> (B, 2 + K): fraud, risk, K kinds of fraud

A token says in d numbers what its part knows. The last orders have a place each and first look at each other, so that a
run of them can mean more than its members; an order that there was not is a token that says so. The transaction's token
is also among those that tell: a vector without user, device and sequence still has something to attend to. Parts
without columns have no encoder. There are no projections of keys and values: what asks is projected into the tokens'
own space, once for each head, and what comes back is projected once. That is a third of the usual multi-head
attention's work where one token asks eleven, and can say the same. Only ReLU, softmax and sums.

The price: for one row the sequence is half of the work, attention a fifth (docs/network.md).
"""

from __future__ import annotations

from models.network_inputs import PARTS, Shape
from training.network.config import Config
from training.network.framework import Tensor, torch


class Encoder(torch.nn.Module):  # type: ignore[misc]  # see framework.py: mypy knows no torch
    """What a part says, or one of the last orders, as a token."""

    def __init__(self, inputs: int, hidden: int, config: Config) -> None:
        super().__init__()
        self.first = torch.nn.Linear(inputs, hidden)
        self.second = torch.nn.Linear(hidden, config.width)
        self.dropout = torch.nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:  # (..., inputs) -> (..., d)
        return self.second(self.dropout(torch.relu(self.first(x))))


class Orders(torch.nn.Module):  # type: ignore[misc]
    """The last orders, each with its place, after they have looked at each other."""

    def __init__(self, steps: int, channels: int, config: Config) -> None:
        super().__init__()
        self.order = Encoder(channels, config.width, config)
        self.place = torch.nn.Parameter(torch.randn(steps, config.width) * 0.1)
        self.ask = torch.nn.Linear(config.width, config.width, bias=False)
        self.out = torch.nn.Linear(config.width, config.width, bias=False)

    def forward(self, orders: Tensor) -> Tensor:  # (B, T, c) -> (B, T, d)
        tokens = self.order(orders) + self.place
        looks = torch.softmax(self.ask(tokens) @ tokens.transpose(1, 2), dim=-1)  # (B, T, T)
        return tokens + self.out(looks @ tokens)


class Fusion(torch.nn.Module):  # type: ignore[misc]
    """Cross-attention: one token asks all, with several heads."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.attention_heads
        self.ask = torch.nn.Linear(config.width, self.heads * config.width)
        self.out = torch.nn.Linear(self.heads * config.width, config.width)

    def forward(self, asking: Tensor, telling: Tensor) -> Tensor:  # (B, d), (B, S, d) -> (B, d)
        asked = self.ask(asking).unflatten(1, (self.heads, -1))  # (B, H, d)
        looks = torch.softmax(asked @ telling.transpose(1, 2), dim=-1)  # (B, H, S)
        return self.out((looks @ telling).flatten(1))


class Net(torch.nn.Module):  # type: ignore[misc]
    """Built for a shape of inputs and a number of kinds of fraud; its first weights are of torch's own generator."""

    def __init__(self, shape: Shape, kinds: int, config: Config) -> None:
        super().__init__()
        self.shape, self.kinds = shape, kinds
        self.parts = [part for part in PARTS if shape.parts[part]]
        self.encoders = torch.nn.ModuleDict(
            {part: Encoder(shape.parts[part], config.hidden, config) for part in self.parts}
        )
        self.orders = Orders(shape.steps, shape.channels + 1, config) if shape.steps else None
        self.fusion = Fusion(config)
        self.fused = torch.nn.Linear((len(self.parts) + 1) * config.width, config.hidden)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.heads = torch.nn.Linear(config.hidden, 2 + kinds)
        with torch.no_grad():  # looks begin even: d products of numbers near 1 would make softmax choose at random
            for ask in (self.fusion.ask, *([self.orders.ask] if self.orders else [])):
                ask.weight *= config.width**-0.5

    def forward(self, x: Tensor) -> Tensor:  # (B, shape.width) -> (B, 2 + K)
        *own, recent = x.split([*(self.shape.parts[part] for part in self.parts), self.shape.recent], dim=1)
        tokens = [self.encoders[part](one) for part, one in zip(self.parts, own, strict=True)]  # each (B, d)
        telling = torch.stack(tokens, dim=1)  # (B, parts, d)
        if self.orders is not None:
            orders = self.orders(recent.unflatten(1, (self.shape.steps, -1)))  # (B, T, d)
            telling = torch.cat([telling, orders], dim=1)  # (B, parts + T, d)
        attended = self.fusion(tokens[0], telling)  # (B, d)
        fused = torch.relu(self.fused(torch.cat([*tokens, attended], dim=1)))  # (B, h)
        return self.heads(self.dropout(fused))
