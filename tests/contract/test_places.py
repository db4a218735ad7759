"""What every place of files promises, whatever lies there: one suite, on a folder and on a real S3 server."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from storage.errors import StorageDown, StorageError
from storage.places import Folder, Place, place_of
from tests.support.s3 import KEY, S3

PATH = "orders/date=2026-01-15/some.parquet"


def read(place: Place, path: str) -> bytes:
    with place.open(path) as raw:
        content: bytes = raw.read()
    return content


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_committed_is_listed_and_read_whole(place: Place) -> None:
    place.check()
    assert place.list() == place.list("orders") == []
    content = os.urandom(300_000)
    place.commit(PATH, content)
    assert place.list() == [(PATH, len(content))]
    assert read(place, PATH) == content


def test_a_file_is_committed_from_a_path_too(place: Place, tmp_path: Path) -> None:
    (tmp_path / "merged").write_bytes(b"x" * 2_000_000)
    place.check()
    place.commit(PATH, tmp_path / "merged")
    assert place.list("orders") == [(PATH, 2_000_000)]


def test_a_folder_is_not_taken_for_one_whose_name_it_begins(place: Place) -> None:
    place.check()
    place.commit("orders/one", b"")
    place.commit("orders-old/one", b"")
    assert place.list("orders") == [("orders/one", 0)]


def test_what_is_removed_is_gone_and_removing_it_again_is_nothing(place: Place) -> None:
    place.check()
    place.commit(PATH, b"content")
    place.remove(PATH)
    place.remove(PATH)
    assert place.list() == []
    for asked in (False, True):
        with pytest.raises(FileNotFoundError):
            place.open(PATH, footer=asked)


def test_no_reader_ever_sees_a_part_of_a_file(place: Place) -> None:
    place.check()
    done, seen = threading.Event(), list[int]()

    def look() -> None:
        while not done.is_set():
            seen.extend(len(read(place, path)) for path, _ in place.list())

    looking = threading.Thread(target=look)
    looking.start()
    for n in range(10):
        place.commit(f"orders/{n}", b"x" * 3_000_000)
    done.set()
    looking.join()
    assert set(seen) <= {3_000_000}


# ---------------------------------------------------------------- names that only one may take


def test_a_name_is_taken_once(place: Place) -> None:
    place.check()
    place.commit("numbers/1", b"mine", new=True)
    with pytest.raises(FileExistsError):
        place.commit("numbers/1", b"yours", new=True)
    assert read(place, "numbers/1") == b"mine"
    place.commit("numbers/1", b"anybody's")
    assert read(place, "numbers/1") == b"anybody's"
    assert place.list() == [("numbers/1", 9)]


def test_of_many_who_take_a_name_at_once_one_has_it(place: Place) -> None:
    place.check()

    def take(who: int) -> bool:
        try:
            place.commit("numbers/7", b"%d" % who, new=True)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        had = list(pool.map(take, range(24)))
    assert had.count(True) == 1
    assert read(place, "numbers/7") == b"%d" % had.index(True)


class Careless(BaseHTTPRequestHandler):
    """A bucket that takes every PUT, whatever its conditions are."""

    answer = 200

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.put.append(self.path)  # type: ignore[attr-defined]
        self.send_response(self.answer)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


class Refusing(Careless):
    """One that says that it does not know them."""

    answer = 501


@pytest.fixture(params=[Careless, Refusing])
def careless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with ThreadingHTTPServer(("127.0.0.1", 0), request.param) as server:
        server.put = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_bucket_that_takes_no_notice_of_conditions_is_found_out_before_it_does_harm(careless: Any) -> None:
    place = place_of(f"s3://shop/x?endpoint_override=127.0.0.1:{careless.server_port}&scheme=http&region=us-east-1")
    with pytest.raises((StorageError, StorageDown), match=r"conditional PUT|501"):
        place.commit("numbers/1", b"mine", new=True)
    assert not [path for path in careless.put if path.endswith("numbers/1")]


def test_a_file_system_without_hard_links_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", none)
    with pytest.raises(StorageError, match="knows no hard links"):
        Folder(tmp_path).commit("numbers/1", b"mine", new=True)
    assert files(tmp_path) == []


# ---------------------------------------------------------------- URLs and outages


@pytest.mark.parametrize(
    "url",
    [
        "ftp://somewhere/x",
        "s3://",
        "s3://key:secret@bucket/x",
        "s3://bucket/x?access_key=k&secret_key=s",
        "file://host/x",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(StorageError, match=r"the URL of the registry .* want /a/folder") as refused:
        place_of(url, "registry")
    assert "secret" not in str(refused.value)


def test_a_server_that_is_away_and_a_wrong_login_say_so(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wr0ng-secret")
    with pytest.raises(StorageDown) as refused:
        place_of(s3.url).check()
    assert "wr0ng-secret" not in str(refused.value)
    with pytest.raises(StorageDown, match=r"127\.0\.0\.1:9"):
        place_of("s3://shop/x?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1").check()


def test_what_a_killed_writer_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    left, older, not_ours = (tmp_path / "orders" / name for name in (".a.7b-01.tmp", ".b.parquet.77.tmp", ".notes"))
    left.parent.mkdir()
    for path in (left, older, not_ours):
        path.write_bytes(b"half")
    assert place.list() == []
    assert place.sweep(3600.0, left.stat().st_mtime + 60) == 0
    assert place.sweep(3600.0, left.stat().st_mtime + 7200) == 2
    assert files(tmp_path) == [not_ours]


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("step", ["fsync", "name"])
def test_a_folder_that_fails_midway_commits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, new: bool
) -> None:
    place = Folder(tmp_path)
    place.check()
    whole: Callable[..., Any] = os.fsync

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "hardlink_to" if new else "replace", full)
    with pytest.raises(StorageDown, match="No space left"):
        place.commit(PATH, b"content", new=new)
    monkeypatch.setattr(os, "fsync", whole)
    assert place.list() == []
    assert files(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    place.commit(PATH, b"content")
    (tmp_path / "orders").chmod(0)
    with pytest.raises(StorageDown, match="Permission denied"):
        place.list()


def test_a_file_where_a_folder_should_be_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "orders").write_text("in the way")
    with pytest.raises(StorageDown, match="Not a directory"):
        Folder(tmp_path).list("orders")


def test_a_file_where_a_folder_should_be_is_no_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "orders").write_text("in the way")
    with pytest.raises(StorageDown):
        Folder(tmp_path).commit("orders/1", b"mine", new=True)
