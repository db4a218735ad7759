"""What to type: examples that stand at the end of each command's help.

The idea: a table, so that help looks alike everywhere and is read only where somebody asks for it. The price: an
example lives here, not beside its command; a test parses each with the command that it is of.
"""

from __future__ import annotations

from typing import Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "demo": ("headrace demo", "headrace demo --seconds 60 --seed 3"),
    "up": ("headrace up --workers 2", "HEADRACE_KAFKA__BROKERS=kafka:9092 headrace up"),
    "worker": (
        "headrace worker --slot 0",
        "headrace worker --slot 1 --rules rules.toml --metrics-port 9641 --log-format json",
    ),
    "serve": ("headrace serve", "headrace serve --host 0.0.0.0 --port 8080"),
    "doctor": ("headrace doctor", """headrace doctor --json | jq '.findings[] | select(.state != "ok")'"""),
    "topics": ("headrace topics create", "headrace topics ls"),
    "topics create": (
        "headrace topics create",
        "HEADRACE_PARTITIONS=12 HEADRACE_REPLICAS=3 headrace topics create",
    ),
    "topics ls": ("headrace topics ls", "headrace topics ls --json | jq -r .topic"),
    "produce": ("headrace produce orders orders.ndjson", "headrace produce labels --timestamps event < labels.ndjson"),
    "consume": (
        "headrace consume fraud",
        "headrace consume orders fraud --from start --until-idle 2 | jq -c .",
    ),
    "replay": (
        "headrace replay fraud-handbook --data recorded/ --lockstep 1h",
        "headrace replay orders.ndjson --topic orders --speed 60x",
        "headrace replay shop --speed max --orders 10000 --days 60",
    ),
    "dlq": ("headrace dlq ls", "headrace dlq redrive orders --reason missing_field"),
    "dlq ls": ("headrace dlq ls", "headrace dlq ls orders --json"),
    "dlq show": ("headrace dlq show orders/0/17", "headrace dlq show orders --value > refused.ndjson"),
    "dlq redrive": ("headrace dlq redrive orders/0/17", "headrace dlq redrive orders --reason missing_field"),
    "features": ("headrace features ls", "headrace features show user:u42"),
    "features ls": ("headrace features ls", "headrace features ls --json | jq -r .column"),
    "features show": ("headrace features show user:u42", "headrace features show card:c7 --at 2026-11-01T12:00:00Z"),
    "features docs": ("headrace features docs > features.md",),
    "features budget": (
        "headrace features budget --users 1000000 --orders-per-day 50000",
        "headrace features budget --users 250000 --days 90 --json | jq .total_bytes",
    ),
    "features build": (
        "headrace features build --from 2026-01-01 --to 2026-07-01 --labels-as-of 2026-11-01 --out training/",
        "headrace features build --from 2026-06-01 --to 2026-06-08 --labels-as-of 2026-11-01 --out june.parquet --json",
    ),
    "features backfill": ("headrace features backfill card", "headrace features backfill card device --beside"),
    "state": ("headrace state dump > state.ndjson", "headrace state rebuild --from-archive"),
    "state dump": ("headrace state dump > state.ndjson",),
    "state rebase": ("headrace state rebase orders",),
    "state rebuild": ("headrace state rebuild --from-scratch", "headrace state rebuild --from-archive"),
    "archive": (
        "HEADRACE_ARCHIVE__URL=s3://shop/archive headrace archive --metrics-port 9650",
        "headrace archive ls",
        """duckdb -c "$(headrace archive sql orders)" """.strip(),
    ),
    "archive ls": ("headrace archive ls", "headrace archive ls orders --json"),
    "archive compact": ("headrace archive compact", "headrace archive compact orders"),
    "archive expire": ("headrace archive expire --days 400", "headrace archive expire clickstream --days 90"),
    "archive sql": (
        "headrace archive sql orders",
        """duckdb -c "$(headrace archive sql fraud --from 2026-11-01)" """.strip(),
    ),
    "learn": (
        "headrace learn",
        "headrace learn --models online_logistic,adaptive_forest --metrics-port 9660",
    ),
    "audit": ("headrace audit", "headrace audit --json | jq .holds"),
    "parity": ("headrace parity", "headrace parity --watch --metrics-port 9670", "headrace parity --plant window"),
    "explain": ("headrace explain o-10027", "headrace explain --sample 1000 --replay --json"),
    "chaos": ("headrace chaos --orders 2000 --kills 4", "headrace chaos --kafka --delivery exactly-once --json"),
    "models": (
        "headrace models put fitted/shop-logistic/1",
        "headrace models promote shop-logistic",
        "headrace models rollback",
    ),
    "models ls": ("headrace models ls", "headrace models ls shop-logistic --json"),
    "models show": ("headrace models show champion", "headrace models show shop-blend/7 --card > card.md"),
    "models diff": ("headrace models diff shop-blend/7", "headrace models diff shop-blend/6 shop-blend/7 --json"),
    "models put": ("headrace models put fitted/shop-logistic/1", "headrace models put mine/ --name mine --version 1"),
    "models promote": ("""headrace models promote shop-blend/7 --why "average precision .76 against .74" """.strip(),),
    "models rollback": ("""headrace models rollback --why "it blocks too many" """.strip(),),
    "models activate": ("headrace models activate shop-blend/8",),
    "models deactivate": ("headrace models deactivate shop-blend", "headrace models deactivate champion"),
    "models history": ("headrace models history", "headrace models history -n 5 --json"),
    "models gc": ("headrace models gc --dry-run", "headrace models gc --days 90"),
    "fit": ("headrace fit --data recorded/", "headrace fit --data recorded/ --out fitted --name mine --version 2"),
    "train": (
        "headrace train boosted --data training/",
        "headrace train all --data training/ --trials 20 --limit-s 3600",
        "headrace train network --data training/ --dry-run",
    ),
    "retrain": ("headrace retrain --check", "headrace retrain --once --json", "headrace retrain --watch"),
    "status": ("headrace status", "headrace status --json"),
    "evaluate": (
        "headrace evaluate --data autumn.parquet --report autumn.html",
        "headrace evaluate --prequential autumn.parquet --model adaptive_forest --delay 7d",
        "headrace evaluate --prequential cards.csv --model online_logistic --delay 30d --time when --id tx --label bad",
        "headrace evaluate --prequential autumn.parquet --model online_logistic --delay 7d --shuffle --json",
    ),
    "schemas": ("headrace schemas export schemas/json",),
    "completion": ("headrace completion bash > ~/.local/share/bash-completion/completions/headrace",),
    "schemas export": (
        "headrace schemas export",
        "headrace schemas export contracts/",
        "headrace schemas export --asyncapi asyncapi.json",
        "headrace schemas export --avro avro/",
    ),
}


def epilog(path: str) -> str:
    r"""The end of the help of the command `path` (`models ls`): click leaves a paragraph as it is after `\b`."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in EXAMPLES[path])])
