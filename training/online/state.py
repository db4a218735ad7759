"""State: a learner as bytes, and back, without pickle.

A pickle runs what is written in it. Here a file names classes from a closed list (CLASSES) and says what their
attributes are; nothing of it is run, not even a constructor. Any other class is refused by name.

The form is canonical JSON. Objects stand in one table, in the order in which they are first met, and refer to each
other by number, so what was shared (a forest's trees share one random generator) is shared again, and a deep tree
needs no deep recursion. Floats are written by `repr`, which is exact; dictionaries keep their order, for sums over them
depend on it. Hence equal learners have equal bytes, and one that was saved and loaded learns on as if it never was.
A list or dictionary that two objects share would be two after loading: that is refused on saving.

The price: some 10 bytes and .3 us a number, so a second for a forest that has grown for weeks; and a new version of
River that keeps something else in its objects needs a look here.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Final

CLASSES: Final[tuple[str, ...]] = (
    "random.Random",
    "river._river_rust.vectordict.VectorDict",
    "river.anomaly.hst.HalfSpaceTrees",
    "river.linear_model.log_reg.LogisticRegression",
    "river.metrics.accuracy.Accuracy",
    "river.metrics.confusion.ConfusionMatrix",
    "river.optim.ada_grad.AdaGrad",
    "river.optim.initializers.Zeros",
    "river.optim.losses.Log",
    "river.optim.schedulers.Constant",
    "river.optim.sgd.SGD",
    "river.preprocessing.scale.MinMaxScaler",
    "river.preprocessing.scale.StandardScaler",
    "river.stats.maximum.Max",
    "river.stats.minimum.Min",
    "river.tree.nodes.arf_htc_nodes.RandomLeafMajorityClass",
    "river.tree.padded.PaddedBranch",
    "river.tree.padded.PaddedLeaf",
    "training.online.adwin.Adwin",
    "training.online.sessions.Late",
    "training.online.splitter.BinSplitter",
    "training.online.trees.LoopBranch",
    "training.online.trees.LoopForest",
    "training.online.trees.LoopTree",
)
_MODULES: Final = {"river._river_rust.vectordict": "river.utils.vectordict"}  # where a class is imported from
_PLAIN: Final = (type(None), bool, int, str)
_WORDS: Final = 625  # of a Mersenne twister's state


class StateError(ValueError):
    """A learner that cannot be saved, or a state that cannot be loaded; the message says which part, and why."""


def graph(root: object) -> dict[str, Any]:
    """An object and all that it refers to, as a JSON document; raises StateError for a class not in CLASSES."""
    return _Writing().document(root)


def object_of(document: Any) -> Any:
    """The object of a `graph`; raises StateError. Runs nothing that the document holds."""
    try:
        return _Reading(document).root()
    except (TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise StateError(f"a damaged state: {error}: take an earlier snapshot") from error


def encoded(document: Mapping[str, Any]) -> bytes:
    """Canonical JSON."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()


def parsed(written: bytes) -> dict[str, Any]:
    """The document of some bytes; raises StateError."""
    try:
        document = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise StateError(f"a state that is not JSON: {error}: take an earlier snapshot") from error
    if not isinstance(document, dict):
        raise StateError(f"a state that is a {type(document).__name__}: want a JSON object")
    return document


def _class_of(name: Any) -> type:
    if name not in CLASSES:
        raise StateError(f"class {name!r}: a state may hold only {', '.join(CLASSES)}")
    module, _, short = name.rpartition(".")
    found: type = getattr(import_module(_MODULES.get(module, module)), short)
    return found


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class _Writing:
    """The table of objects while it grows."""

    def __init__(self) -> None:
        self._met: dict[int, int] = {}  # id -> number
        self._objects: list[object] = []
        self._held: dict[int, object] = {}  # containers that were written; held, so that no id is used again

    def document(self, root: object) -> dict[str, Any]:
        self._number(root)
        classes: dict[tuple[str, tuple[str, ...]], int] = {}
        table = list[list[Any]]()
        while len(table) < len(self._objects):  # grows meanwhile
            one = self._objects[len(table)]
            fields = _fields(one)
            number = classes.setdefault((_name_of(type(one)), tuple(fields)), len(classes))
            table.append([number, *(self._value(value) for value in fields.values())])
        return {"classes": [[name, list(fields)] for name, fields in classes], "objects": table}

    def _number(self, one: object) -> int:
        if id(one) not in self._met:
            if (name := _name_of(type(one))) not in CLASSES:
                raise StateError(f"class {name!r} cannot be saved: a state may hold only {', '.join(CLASSES)}")
            self._met[id(one)] = len(self._objects)
            self._objects.append(one)
        return self._met[id(one)]

    def _value(self, value: Any) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if kind is tuple:
            return {"tuple": [self._value(one) for one in value]}
        if kind in (list, dict, set, Counter, defaultdict):
            return self._container(value)
        return {"ref": self._number(value)}

    def _container(self, value: Any) -> Any:
        if id(value) in self._held:
            raise StateError(f"a {type(value).__name__} that two objects share cannot be saved: {str(value)[:80]}")
        self._held[id(value)] = value
        if isinstance(value, list):
            return [self._value(one) for one in value]
        if isinstance(value, set):
            return {"set": [self._value(one) for one in sorted(value)]}
        if all(type(one) is float and math.isfinite(one) for one in value.values()):
            pairs = [[key if type(key) in _PLAIN else self._value(key), one] for key, one in value.items()]
        else:
            pairs = [[self._value(key), self._value(one)] for key, one in value.items()]
        if isinstance(value, defaultdict):
            return {"defaultdict": [_factory_name(value.default_factory), pairs]}
        return {"Counter" if isinstance(value, Counter) else "dict": pairs}


class _Reading:
    """The table of objects: first all of them empty, then what they hold."""

    def __init__(self, document: Any) -> None:
        self._classes = [(_class_of(name), _names(fields)) for name, fields in document["classes"]]
        self._table = document["objects"]
        self._objects = [self._empty(row) for row in self._table]

    def root(self) -> Any:
        for one, (number, *values) in zip(self._objects, self._table, strict=True):
            names = self._classes[number][1]
            if len(names) != len(values):
                raise StateError(f"an object of {len(values)} attributes: its class has {len(names)}")
            _fill(one, {name: self._value(value) for name, value in zip(names, values, strict=True)})
        return self._objects[0]

    def _empty(self, row: Any) -> Any:
        kind: Any = self._classes[_index(row[0], len(self._classes))][0]
        return kind.__new__(kind)

    def _value(self, value: Any) -> Any:
        if type(value) in (*_PLAIN, float):
            return value
        if isinstance(value, list):
            return [self._value(one) for one in value]
        (tag, inner), *more = value.items()
        if more or tag not in _TAGS:
            raise StateError(f"a value {str(value)[:80]}: want one of {', '.join(_TAGS)}")
        return _TAGS[tag](self, inner)

    def _pairs(self, pairs: Any) -> dict[Any, Any]:
        return {self._key(key): value if type(value) is float else self._value(value) for key, value in pairs}

    def _key(self, key: Any) -> Any:
        if type(key) not in (*_PLAIN, float):
            raise StateError(f"a key {str(key)[:80]}: want a name or a number")
        return key

    def _float(self, inner: Any) -> float:
        if inner not in ("inf", "-inf", "nan"):
            raise StateError(f"a float {inner!r}: want inf, -inf or nan; others are written as numbers")
        return float(inner)

    def _ref(self, inner: Any) -> Any:
        return self._objects[_index(inner, len(self._objects))]

    def _tuple(self, inner: Any) -> tuple[Any, ...]:
        return tuple(self._value(one) for one in inner)

    def _set(self, inner: Any) -> set[Any]:
        return {self._key(one) for one in inner}

    def _counter(self, inner: Any) -> Counter[Any]:
        return Counter(self._pairs(inner))

    def _defaultdict(self, inner: Any) -> defaultdict[Any, Any]:
        name, pairs = inner
        if name not in _FACTORIES:
            raise StateError(f"a dictionary that makes {name!r}: want one of {', '.join(_FACTORIES)}")
        return defaultdict(_FACTORIES[name](), self._pairs(pairs))


_TAGS: Final[Mapping[str, Callable[[_Reading, Any], Any]]] = {
    "float": _Reading._float,
    "tuple": _Reading._tuple,
    "dict": _Reading._pairs,
    "set": _Reading._set,
    "Counter": _Reading._counter,
    "defaultdict": _Reading._defaultdict,
    "ref": _Reading._ref,
}

# What River's dictionaries put where nothing was.
_FACTORIES: Final[Mapping[str, Callable[[], Callable[[], Any]]]] = {
    "float": lambda: float,
    "int": lambda: int,
    "floats": lambda: partial(defaultdict, float),
    "unit range": lambda: partial(tuple, (0.0, 1.0)),
    "Min": lambda: _class_of("river.stats.minimum.Min"),
    "Max": lambda: _class_of("river.stats.maximum.Max"),
}


def _factory_name(factory: Any) -> str:
    for name, make in _FACTORIES.items():
        if _same(factory, make()):
            return name
    raise StateError(f"a dictionary that makes {factory!r} cannot be saved: want one of {', '.join(_FACTORIES)}")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, partial) and isinstance(other, partial):
        return (one.func, one.args, one.keywords) == (other.func, other.args, other.keywords)
    return bool(one == other)


def _fields(one: Any) -> dict[str, Any]:
    """An object's attributes by name; of the two that keep them out of sight, what makes them again."""
    if isinstance(one, random.Random):
        _, words, gauss = one.getstate()
        return {"gauss": gauss, "words": list(words)}
    if type(one).__name__ == "VectorDict":
        return {"values": one.to_dict()}
    return dict(sorted(vars(one).items()))


def _fill(one: Any, fields: dict[str, Any]) -> None:
    if isinstance(one, random.Random):
        words = fields["words"]
        if len(words) != _WORDS or not all(type(word) is int and 0 <= word < 1 << 32 for word in words[:-1]):
            raise StateError(f"a random generator of {len(words)} words: want {_WORDS} of 32 bits")
        if type(words[-1]) is not int or not 0 <= words[-1] < _WORDS:
            raise StateError(f"a random generator at word {words[-1]!r}: want 0 to {_WORDS - 1}")
        one.setstate((3, tuple(words), fields["gauss"]))
    elif type(one).__name__ == "VectorDict":
        one.update(fields["values"])
    else:
        vars(one).update(fields)


def _names(fields: Any) -> list[str]:
    if wrong := [name for name in fields if not isinstance(name, str) or name.startswith("__")]:
        raise StateError(f"an attribute {wrong[0]!r}: no class of a state has it")
    return list(fields)


def _index(number: Any, count: int) -> int:
    if type(number) is not int or not 0 <= number < count:
        raise StateError(f"number {number!r}: want one from 0 to {count - 1}")
    return number
