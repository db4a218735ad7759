"""Where files lie: a folder, or a bucket of any S3-compatible store. A few verbs, and one of them commits.

A file is committed when it is visible under its final name, whole, and stays if the machine loses power. In a folder
that is a temporary name, fsync, rename, fsync of the folder; in a bucket one PUT, which S3 makes visible at once or not
at all. Multipart uploads are not used: closing one after a failed part would commit what is cut off. The price: a file
is at most 5 GB, thirty times what is written here.

`commit(new=True)` is for who must be the only one to take a name: a hard link in a folder (which fails where the name
is taken), a conditional PUT in a bucket. A store that does not know conditional PUTs either says so or ignores the
condition; the second is found out beforehand, on a file that is there for nothing else. The price: one more request.

S3 is reached by obstore (the Rust `object_store` of the Arrow project), not by pyarrow's own file system, for its
streams cannot promise such a PUT. Credentials are the usual ones: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the
role of the machine. They are never part of the URL.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from storage.errors import StorageDown, StorageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from obstore import ReadableFile
    from obstore.store import S3Store

OPTIONS: Final = ("endpoint_override", "region", "scheme")
WANT: Final = "want /a/folder, file:///a/folder or s3://bucket/prefix?endpoint_override=host:port&scheme=http&region=…"
CONNECT_S, REQUEST_S = 5.0, 120.0
RETRIES, RETRY_WITHIN_S = 3, 20.0
FOOTER_BYTES: Final = 65_536
TEMPORARY: Final = re.compile(r"\..+\.[0-9a-f-]+\.tmp")  # of a name, a process and a number
PROBE: Final = ".conditional-put"  # a bucket's file that is there to be refused a second time
NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


class Place(Protocol):
    """Files by their paths below the URL, with `/` between folders. A name that begins with a dot is not ours.

    Every verb raises StorageDown where the place cannot be used now.
    """

    @property
    def shown(self) -> str:
        """The URL, as logs may have it."""
        ...

    def check(self) -> None:
        """Raises StorageDown where it cannot be listed; makes a folder that is not there."""
        ...

    def list(self, prefix: str = "") -> list[tuple[str, int]]:
        """(path, bytes) of what is committed below a folder, or of all; not one moment's picture."""
        ...

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        """Names of the folders right in a folder, or at the top: what is in them is not listed."""
        ...

    def commit(self, path: str, content: bytes | Path, *, new: bool = False) -> None:
        """Makes the file visible, whole; where it is there already it becomes this one, or with `new` stays as it is.

        Raises FileExistsError then, and StorageError where the place cannot promise that.
        """
        ...

    def open(self, path: str, *, footer: bool = False) -> Any:
        """A file to read from; raises FileNotFoundError where it is gone. `footer`: only little of it will be read."""
        ...

    def remove(self, path: str) -> None:
        """Twice is once."""
        ...

    def prune(self, folder: str) -> None:
        """An empty folder goes; a bucket has none."""
        ...

    def address(self, path: str) -> str:
        """The file as DuckDB names it."""
        ...


def place_of(url: str, what: str = "archive") -> Place:
    """The place that a URL names, asked nothing yet; raises StorageError for one that cannot be meant.

    `what` lies there, for errors.
    """
    if "://" not in url:
        return Folder(Path(url).expanduser().absolute())
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and not parts.query:
        return Folder(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc:
        options = dict(parse_qsl(parts.query))
        if not options.keys() - {*OPTIONS} and options.get("scheme", "https") in ("http", "https"):
            return Bucket.of(parts.netloc, parts.path.strip("/"), options)
    raise StorageError(f"the URL of the {what} (hidden: it may hold a password) cannot be used: {WANT}")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine, or one that is mounted."""

    root: Path

    @property
    def shown(self) -> str:
        return str(self.root)

    def check(self) -> None:
        with _down(self.shown):
            self.root.mkdir(parents=True, exist_ok=True)

    def list(self, prefix: str = "") -> list[tuple[str, int]]:
        found = []
        with _down(self.shown):
            if not self.root.is_dir():
                raise FileNotFoundError(f"no such folder: {self.root}")
            for folder, _, names in os.walk(self.root / prefix, onerror=_unless_gone):
                found += [one for name in names if name[0] != "." and (one := self._sized(Path(folder, name)))]
        return found

    def _sized(self, path: Path) -> tuple[str, int] | None:
        with contextlib.suppress(FileNotFoundError):  # it went while we looked
            return path.relative_to(self.root).as_posix(), path.stat().st_size
        return None

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        with _down(self.shown):
            if not self.root.is_dir():
                raise FileNotFoundError(f"no such folder: {self.root}")
            try:
                with os.scandir(self.root / prefix) as found:
                    return tuple(one.name for one in found if one.name[0] != "." and one.is_dir())
            except FileNotFoundError:
                return ()

    def commit(self, path: str, content: bytes | Path, *, new: bool = False) -> None:
        with _down(self.shown):
            named = self._named(self.root / path, content, new=new)
        if not named:
            raise FileExistsError(f"{self.shown}: {path} is there already")

    def _named(self, target: Path, content: bytes | Path, *, new: bool) -> bool:
        """Writes it and gives it its name; False where that is taken and it was to be new."""
        self._make(target.parent)
        temporary = target.with_name(f".{target.name}.{os.getpid():x}-{os.urandom(4).hex()}.tmp")
        try:
            with temporary.open("wb") as file:
                for chunk in _chunks(content):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            if new and not self._linked(temporary, target):
                return False
            if not new:
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync(target.parent)
        return True

    def _linked(self, temporary: Path, target: Path) -> bool:
        """Whether the file got a name that nobody had: a rename would take it away from who has it."""
        try:
            target.hardlink_to(temporary)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno in NO_LINKS:
                raise StorageError(
                    f"{self.shown}: its file system knows no hard links ({error.strerror}), so of two writers neither "
                    "would notice the other: use a folder of another file system, or s3://"
                ) from error
            raise
        return True

    def _make(self, folder: Path) -> None:
        """Makes folders that are there after a power cut."""
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for one in missing:
            _sync(one.parent)

    def open(self, path: str, *, footer: bool = False) -> IO[bytes]:  # noqa: ARG002 - a seek costs nothing here
        try:
            return (self.root / path).open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageDown(f"{self.shown}: {error}") from error

    def remove(self, path: str) -> None:
        with _down(self.shown):
            (self.root / path).unlink(missing_ok=True)

    def prune(self, folder: str) -> None:
        with contextlib.suppress(OSError):  # somebody has put something there, or it is gone
            (self.root / folder).rmdir()

    def address(self, path: str) -> str:
        return str(self.root / path)

    def sweep(self, older_than_s: float, now_s: float) -> int:
        """Removes what killed writers have left under temporary names; how many."""
        left = []
        with _down(self.shown):
            for path in self.root.rglob(".*.tmp"):
                with contextlib.suppress(FileNotFoundError):
                    if TEMPORARY.fullmatch(path.name) and now_s - path.stat().st_mtime > older_than_s:
                        path.unlink()
                        left.append(path)
        return len(left)


def _unless_gone(error: OSError) -> None:
    """A folder that cannot be read is no empty one; one that went while we looked is."""
    if not isinstance(error, FileNotFoundError):
        raise error


@contextlib.contextmanager
def _down(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageDown(f"{where}: {error}") from error


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(2**20):
            yield chunk


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of an S3-compatible store, below a prefix."""

    name: str
    prefix: str
    options: tuple[tuple[str, str], ...]
    store: S3Store

    @classmethod
    def of(cls, name: str, prefix: str, options: dict[str, str]) -> Bucket:
        try:
            from obstore.store import S3Store
        except ImportError as error:
            raise StorageError("a place on S3 needs obstore: pip install 'headrace[history]'") from error
        scheme = options.get("scheme", "https")
        given: dict[str, Any] = {}
        if endpoint := options.get("endpoint_override"):
            given["endpoint"] = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
        if region := options.get("region"):
            given["region"] = region
        store = S3Store(
            name,
            prefix=prefix or None,
            virtual_hosted_style_request=not endpoint,
            client_options={
                "allow_http": str(given.get("endpoint", "")).startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "timeout": timedelta(seconds=REQUEST_S),
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_WITHIN_S)},
            **given,
        )
        return cls(name, prefix, tuple(options.items()), store)

    @property
    def shown(self) -> str:
        at = dict(self.options).get("endpoint_override")
        return f"s3://{self.name}/{self.prefix}" + (f" at {at}" if at else "")

    def check(self) -> None:
        with self._down():
            for _ in self.store.list(chunk_size=1):
                return

    def list(self, prefix: str = "") -> list[tuple[str, int]]:
        found = []
        with self._down():
            for chunk in self.store.list(prefix=prefix or None):
                found += [(one["path"], one["size"]) for one in chunk if PurePosixPath(one["path"]).name[:1] != "."]
        return found

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        with self._down():
            found = self.store.list_with_delimiter(prefix or None)["common_prefixes"]
        return tuple(one.name for one in map(PurePosixPath, found) if one.name[:1] != ".")

    def commit(self, path: str, content: bytes | Path, *, new: bool = False) -> None:
        if new:
            self._check_conditions()
        if not self._put(path, content, new=new):
            raise FileExistsError(f"{self.shown}: {path} is there already")

    def _check_conditions(self) -> None:
        """Raises StorageError where the store takes no notice of the condition: of two puts the second is refused."""
        if self._put(PROBE, b"", new=True) and self._put(PROBE, b"", new=True):
            raise StorageError(
                f"{self.shown}: the store takes no notice of `If-None-Match: *`, so of two writers neither would "
                "notice the other: use a store that knows conditional PUTs, or a folder"
            )

    def _put(self, path: str, content: bytes | Path, *, new: bool) -> bool:
        """False where it is there already and was to be new."""
        from obstore.exceptions import AlreadyExistsError, NotSupportedError

        with self._down():
            try:
                self.store.put(path, content, use_multipart=False, mode="create" if new else "overwrite")
            except AlreadyExistsError:
                return False
            except NotSupportedError as error:
                raise StorageError(f"{self.shown}: the store knows no conditional PUTs: {_said(error)}") from error
        return True

    def open(self, path: str, *, footer: bool = False) -> Any:
        """Whole, in one request; a footer by two small ones."""
        import obstore

        with self._down():
            if footer:
                return _Ranges(obstore.open_reader(self.store, path, buffer_size=FOOTER_BYTES), self._down)
            return io.BytesIO(self.store.get(path).bytes().to_bytes())

    def remove(self, path: str) -> None:
        with self._down(), contextlib.suppress(FileNotFoundError):
            self.store.delete(path)

    def prune(self, folder: str) -> None:
        """There is nothing to do."""

    def address(self, path: str) -> str:
        return "/".join(part for part in (f"s3://{self.name}", self.prefix, path) if part)

    @contextlib.contextmanager
    def _down(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise StorageDown(f"{self.shown}: {_said(error)}") from error


class _Ranges(io.RawIOBase):
    """A file of a bucket, read by ranges as they are asked for."""

    def __init__(self, reader: ReadableFile, down: Callable[[], AbstractContextManager[None]]) -> None:
        self._reader, self._down = reader, down

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        return self._reader.tell()

    def readinto(self, into: Any) -> int:
        with self._down():
            content = self._reader.read(len(into)).to_bytes()
        into[: len(content)] = content
        return len(content)


def _said(error: BaseException) -> str:
    """The first line of what the store's client says; the rest of it is for the client's authors."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
