"""The API against its own description: requests made out of it, seeded, so many for each operation.

None may be answered by a 5xx, or by what is not described. One of schemathesis's checks is left out: that every body
which fits the schema is accepted. Which days and currencies there are is more than a JSON Schema can say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings

EXAMPLES: Final = 40


@dataclass(slots=True)
class Asked:
    """How many requests were made, and what did not hold, by operation."""

    operations: int = 0
    requests: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def asked(url: str, examples: int = EXAMPLES) -> Asked:
    """Asks everything that is described."""
    schemathesis = import_module("schemathesis")
    beyond = import_module("schemathesis.specs.openapi.checks").positive_data_acceptance
    done = Asked()
    for found in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        operation = found.ok()
        done.operations += 1
        try:
            _holds(operation, beyond, done, examples)
        except Exception as error:  # each kind of failure is a class of its own, and some come in groups
            done.failures[f"{operation.method.upper()} {operation.path}"] = repr(error)
    return done


def _holds(operation: Any, beyond: Any, done: Asked, examples: int) -> None:
    @settings(max_examples=examples, database=None, derandomize=True, deadline=None,
              phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        done.requests += 1
        case.call_and_validate(excluded_checks=[beyond])

    holds()
