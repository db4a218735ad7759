"""Secrets by file: `HEADRACE_REDIS__PASSWORD_FILE=/run/secrets/x` stands for the password that the file holds.

What official images do, and what Docker's and Kubernetes' secrets are made for: an environment is seen by whoever may
look at a process or a container, a file by whom it was given to. Read once, with the other settings. The price: a
secret that is changed is known after the next start.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

SUFFIX = "_FILE"


class SecretFileError(ValueError):
    """A file that a variable names cannot be used; each line names the variable, the file and the remedy."""


def from_files(environ: Mapping[str, str | None], secrets: Collection[str]) -> dict[str, str | None]:
    """The environment, where each `NAME_FILE` of a secret is replaced by `NAME` with what the file holds.

    `secrets` are names of variables, in capitals; those of `environ` may be written in any. Raises SecretFileError.
    """
    spelt = {name.upper(): name for name in environ}
    found, faults = dict(environ), list[str]()
    for name in secrets:
        if (by_file := spelt.get(name + SUFFIX)) is None:
            continue
        if name in spelt:
            faults.append(f"{name} and {name}{SUFFIX} are both set: leave one of them out")
            continue
        path = found.pop(by_file) or ""
        try:
            found[by_file[: -len(SUFFIX)]] = _held(Path(path))
        except SecretFileError as error:
            faults.append(f"{name}{SUFFIX} {path!r}: {error}")
    if faults:
        raise SecretFileError("\n".join(faults))
    return found


def _held(path: Path) -> str:
    """The text of a file without the ends of lines that editors and `echo` leave behind it."""
    try:
        text = path.read_bytes().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretFileError("it is no text: want the secret alone, in UTF-8") from None
    except OSError as error:
        raise SecretFileError(
            f"it cannot be read ({error.strerror}): name a file that the user of this process may read"
        ) from None
    if not text:
        raise SecretFileError("it is empty: write the secret into it")
    return text
