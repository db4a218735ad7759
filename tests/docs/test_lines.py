"""Every command line of the docs is run: here, against a stream that a shop was sent through, or where it is named.

The tutorial and the how-to pages are followed from end to end by test_typed.py. The lines of all other pages are taken
one by one: what reads must succeed, what runs in the foreground must begin and end cleanly when it is told to. Dates,
ids and folders of the docs are replaced by those of the stream. A line that is new in the docs is run here.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from streams.embedded.processes import free_port
from tests.docs.tables import DOCS
from tests.docs.typed import Block, Reader
from tests.support.events import order

pytestmark = [pytest.mark.xdist_group("usual ports"), pytest.mark.timeout(900)]

PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
LINE = re.compile(r"^(?:    |\$ )((?:[A-Z_]+=\S* )*headrace [^\n]+)", re.MULTILINE)

ELSEWHERE = {  # beginning of a line -> where it is run
    "headrace chaos": "tests/e2e/test_chaos.py",
    "headrace demo": "tests/e2e/test_demo.py",
    "headrace up": "tests/e2e/test_up.py",
    "headrace fit": "tests/unit/training/test_fit_logistic.py: needs the Handbook's data",
    "headrace train network": "tests/unit/training/network: needs torch",
    "headrace train all --data autumn.parquet": "the how-to page retrain.md",
    "headrace evaluate": "tests/unit/streams/cli/test_evaluate.py",
    "headrace retrain --watch": "tests/unit/training/retrain",
    "headrace explain o-n1-7": "another line of its kind is run here",
    "headrace parity --plant": "tests/e2e/test_parity.py",
    "headrace parity --oracle": "tests/e2e/test_parity.py",
    "headrace parity --archive": "tests/e2e/test_parity.py",
    "HEADRACE_RULES=my-rules.toml headrace worker": "the how-to page rule.md",
    "headrace completion zsh": "tests/unit/streams/cli/test_completion.py",
    "headrace completion fish": "tests/unit/streams/cli/test_completion.py",
}
FOREGROUND = {  # a process -> what it says when it has begun
    r"headrace worker": "the worker starts",
    r"headrace serve": "serving at",
    r"headrace archive$": "the archive starts",
    r"headrace learn": "the learner starts",
    r"headrace parity --watch": "metrics at",
}
CODES = {  # where it is not 0
    "HEADRACE_KAFKA__BROKER=x headrace worker": 2,
    "headrace train all --data autumn.parquet --dry-run": 3,  # a shop of three weeks is refused, and told why
}
DAYS = {  # of the docs -> days before now, of the stream
    "2025-10-09": 22,
    "2025-11-01": 12,
    "2025-12-01": 1,
    "2026-01-15": 0,
    "2026-01-01": 22,
    "2026-02-01": 0,
    "2026-11-01": 22,
}


def lines() -> list[str]:
    """Each once, in the order of the docs, without comments."""
    found = [line for page in PAGES for line in LINE.findall(page.read_text())]
    return list(dict.fromkeys(re.sub(r"\s+#.*| &$", "", line).strip() for line in found))


def is_elsewhere(line: str) -> bool:
    return any(line.startswith(beginning) for beginning in ELSEWHERE) and "--dry-run" not in line


HERE = [line for line in lines() if not is_elsewhere(line)]


def begins(line: str) -> str | None:
    """What it says when it has begun, if it is a process in the foreground."""
    return next((said for command, said in FOREGROUND.items() if re.match(command, line)), None)


def day(days_ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days_ago)).strftime("%Y-%m-%d")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader beside a stream with a past: a shop of 20 days, an archive, a registry, some dead letters."""
    folder = tmp_path_factory.mktemp("desk")
    for source, name in (("default/shop-logistic", "fitted/shop-logistic"), ("default", "models/default")):
        shutil.copytree(DOCS.parent / "models" / source, folder / name)
    one = Reader(folder, {"HEADRACE_ARCHIVE__URL": str(folder / "archive"), "HEADRACE_ARCHIVE__FILE_S": "1",
                          "HEADRACE_REGISTRY__URL": str(folder / "registry")})  # fmt: skip
    own = [order("10027", "u-1187", value=250.0), order("o", "u-2", value=-1.0)]
    (folder / "orders.ndjson").write_bytes((own[0].value or b"") + b"\n")
    (folder / "bad.ndjson").write_bytes((own[1].value or b"") + b"\n")
    click = {"type": "page_view", "event_id": "c-1", "event_time": f"{day(1)}T12:00:00Z", "visitor_id": "v-1"}
    (folder / "clicks.ndjson").write_text(json.dumps(click) + "\n")
    one.instead |= {**{told: day(ago) for told, ago in DAYS.items()}, "orders/0/3": "orders"}
    one.instead |= {"HEADRACE_ARCHIVE__URL=/var/headrace ": "", "headrace serve": "headrace serve --port 0"}
    one.instead |= {f"--metrics-port {port}": f"--metrics-port {free_port()}" for port in (9650, 9700)}
    try:
        one.does(Block("bash", "terminal 1", "headrace up\n", ("Ctrl-C ends it all",)))
        one.does(Block("bash", None, "\n".join([
            "mkdir -p ~/.zfunc ~/.local/share/bash-completion/completions ~/.config/fish/completions",
            "headrace models put fitted/shop-logistic/1",
                        "headrace models promote shop-logistic/1",
                        "headrace replay shop --speed max --orders 3000 --days 20",
            "headrace produce orders --raw --timestamps event < bad.ndjson",
            "headrace produce orders --timestamps event < orders.ndjson",
            "until headrace audit --json | grep -q '\"pending\": 0'; do sleep 1; done",
            "sleep 4",  # the archive has it too
        ]), ()))  # fmt: skip
        yield one
    finally:
        one.leaves()


def test_each_line_that_is_run_elsewhere_is_in_the_docs() -> None:
    unknown = [beginning for beginning in ELSEWHERE if not any(line.startswith(beginning) for line in lines())]
    assert not unknown


@pytest.mark.slow
@pytest.mark.parametrize("line", HERE)
def test_a_line_of_the_docs_does_what_it_says(reader: Reader, line: str) -> None:
    if (said := begins(line)) is not None:
        reader.does(Block("bash", "terminal 9", f"{line}\n", (said,)))
        reader.does(Block("bash", "terminal 9", "# Ctrl-C\n", ()))
        return
    command = line.removesuffix(" | head -1")  # a pipe that closes is no error, but for `pipefail`
    expected = f"exit code {CODES.get(line, 0)}"
    reader.does(Block("bash", None, f'code=0; ( {command} ) || code=$?; echo "exit code $code"\n', (expected,)))
