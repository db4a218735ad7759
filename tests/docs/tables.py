"""Tables of the docs that are made from the code: settings, metrics, topics, the fields of events.

Each stands in its page between two comments; `python -m tests.docs` writes them anew, and a test fails where one is not
what the code says. The price: a description is written in the code, short enough for a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from features.catalogue import page
from features.kinds import NAMES
from features.shop import shop_definitions
from schemas import events as shapes
from schemas.money import DEFAULT_RATES
from schemas.secretfiles import SUFFIX
from schemas.settings import secrets, variables
from schemas.topics import DAY_MS, TOPICS, Topic
from streams.archive.metrics import ArchiveMetrics
from streams.collectors import ArrayHistogram
from streams.learner.metrics import LearnerMetrics
from streams.metrics import Metrics
from streams.parity.watch import ParityMetrics

Row = tuple[str, ...]

DOCS = Path(__file__).resolve().parents[2] / "docs"
PROGRAMS = DOCS.parent / "tests" / "clients"
LANGUAGES = {".py": "python", ".mjs": "js", ".java": "java"}
BLOCK = re.compile(r"(<!-- python -m tests\.docs: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
UNIONS = {"clickstream": shapes.Clickstream, "cart": shapes.Carts, "labels": shapes.Labels}
COMMON = {"type", *(field.name for field in msgspec.structs.fields(shapes.Event))}
WORDS = {str: "text", float: "number", int: "whole number", bool: "true or false"}


def rewritten(text: str) -> str:
    """A page with its tables made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def pages() -> Iterator[Path]:
    """The pages that have such tables."""
    return (path for path in sorted(DOCS.glob("*.md")) if BLOCK.search(path.read_text()))


def _table(head: Row, rows: Sequence[Row]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def settings() -> str:
    """Every variable, its kind, its default and what it is."""
    rows = [
        (f"`{name}`", _kind(field) + _by_file(name), _default(name, field), _bounds(field))
        for name, field in variables().items()
        if not hasattr(field.annotation, "model_fields")  # a part: its own variables follow
    ]
    return _table(("variable", "kind", "default", "what it is"), rows)


def _by_file(name: str) -> str:
    return f"; or in the file that `{name}{SUFFIX}` names" if name in secrets() else ""


def _kind(field: FieldInfo) -> str:
    kind, optional = field.annotation, get_args(field.annotation)
    if get_origin(kind) is not dict and type(None) in optional:
        kind = next(one for one in optional if one is not type(None))
    if choices := [one for one in get_args(kind) if isinstance(one, str)]:
        return " or ".join(f"`{choice}`" for choice in choices)
    if get_origin(kind) is dict:
        return "JSON"
    if kind is SecretStr:
        return "text, secret"
    return {**WORDS, bool: "`true` or `false`"}.get(kind, "path")  # type: ignore[arg-type]  # a path is the rest


def _default(name: str, field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=False)
    if name == "HEADRACE_RATES":
        return f"{len(next(iter(DEFAULT_RATES.values())))} currencies of {next(iter(DEFAULT_RATES))}"
    if value is None or value is PydanticUndefined:
        return ""
    shown = value.get_secret_value() if isinstance(value, SecretStr) else value
    return f"`{str(shown).lower()}`" if isinstance(value, bool) else f"`{shown}`"


def _bounds(field: FieldInfo) -> str:
    """The description and the limits."""
    said = [field.description] if field.description else []
    limits = {key: getattr(rule, key) for rule in field.metadata for key in ("ge", "gt", "le") if hasattr(rule, key)}
    names = {"ge": "at least", "gt": "more than", "le": "at most"}
    said += [f"{names[key]} {value:,}" for key, value in limits.items() if (key, value) != ("ge", 0)]
    return "; ".join(said)


NO_METRICS = {"registry", "before_a_look"}


def metrics() -> str:
    """Every metric of a worker, in the order of the code."""
    return _metrics(Metrics(CollectorRegistry()))


def archive() -> str:
    """Every metric of the archive."""
    return _metrics(ArchiveMetrics(CollectorRegistry()))


def learner() -> str:
    """Every metric of the learner."""
    return _metrics(LearnerMetrics(CollectorRegistry()))


def parity() -> str:
    """Every metric of `headrace parity --watch`."""
    return _metrics(ParityMetrics(CollectorRegistry()))


def _metrics(of: object) -> str:
    every = (one for name, one in vars(of).items() if name not in NO_METRICS and name[0] != "_")
    return _table(("metric", "type", "labels", "what it says"), [_metric(one) for one in every])


def _metric(one: Any) -> Row:
    if isinstance(one, ArrayHistogram):
        return f"`{one.name}`", "histogram", f"`{one.label}`" if one.label else "", one.text
    assert isinstance(one, MetricWrapperBase)
    name = one._name + ("_total" if one._type == "counter" else "")
    return f"`{name}`", str(one._type), ", ".join(f"`{label}`" for label in one._labelnames), one._documentation


def shop() -> str:
    """Every feature of the shop."""
    return page(shop_definitions(), NAMES)


def topics() -> str:
    """The registry."""
    rows = [(f"`{t.name}`", t.doc, t.key, _kept(t), t.writer) for t in TOPICS.values()]
    return _table(("topic", "what", "key", "kept", "written by"), rows)


def _kept(topic: Topic) -> str:
    return "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms // DAY_MS} days"


def orders() -> str:
    """The fields of an order."""
    return _table(("field", "kind", "must be there"), [_field(one) for one in msgspec.structs.fields(shapes.Order)])


def items() -> str:
    """The fields of an order's lines."""
    return _table(("field", "kind", "must be there"), [_field(one) for one in msgspec.structs.fields(shapes.Item)])


def _field(one: msgspec.structs.FieldInfo) -> Row:
    return f"`{one.name}`", _said(one.type), "yes" if one.required else ""


def _said(kind: Any) -> str:
    """A field's type in words."""
    members = [one for one in get_args(kind) if one is not type(None)] if type(None) in get_args(kind) else [kind]
    named = {repr(shapes.Id): "id", repr(shapes.Time): "time", repr(shapes.Currency): "currency"}
    named |= {repr(shapes.Amount): "amount", repr(shapes.Quantity): "quantity", repr(shapes.Items): "list of items"}
    named |= {repr(shapes.Products): "list of products", repr(list[str]): "list of texts"}
    (member,) = members
    return named.get(repr(member)) or WORDS[member]


def types(topic: str) -> str:
    """The types of a topic, with the fields that are theirs alone."""
    fields = {shape: msgspec.structs.fields(shape) for shape in get_args(UNIONS[topic])}
    shared = reduce(set.intersection, ({one.name for one in own} for own in fields.values())) - COMMON
    first = next(iter(fields.values()))
    rows = [
        (f"`{shape.__struct_config__.tag}`", str(shape.__doc__), _named(one for one in own if one.name not in shared))
        for shape, own in fields.items()
    ]
    said = f"Fields of all of them: {_named(one for one in first if one.name in shared)}."
    return f"{said}\n\n" + _table(("type", "what happened", "fields of its own"), rows)


def _named(fields: Iterable[msgspec.structs.FieldInfo]) -> str:
    return ", ".join(f"`{f.name}`{' (must)' if f.required else ''}" for f in fields if f.name not in COMMON)


def program(name: str) -> str:
    """A program of tests/clients, whole: what tests/e2e/test_clients.py runs is what the page shows."""
    path = PROGRAMS / name
    return f"```{LANGUAGES[path.suffix]}\n{path.read_text()}```"


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "metrics": metrics,
    "archive": archive,
    "learner": learner,
    "parity": parity,
    "shop": shop,
    "topics": topics,
    "orders": orders,
    "items": items,
    **{topic: partial(types, topic) for topic in UNIONS},
    "pythonproducer": partial(program, "producer.py"),
    "pythonconsumer": partial(program, "consumer.py"),
    "nodeproducer": partial(program, "producer.mjs"),
    "nodeconsumer": partial(program, "consumer.mjs"),
    "javaproducer": partial(program, "Producer.java"),
    "javaconsumer": partial(program, "Consumer.java"),
}
