"""The kernel's machine code is kept where it may be, and made anew when a source of it changes."""

from pathlib import Path

from features.compiled import folder_of
from features.kernel.compiled import FEATURES, compiled


def sources(folder: Path, text: str = "LEAST = 8\n") -> Path:
    (folder / "inner").mkdir(parents=True, exist_ok=True)
    (folder / "inner" / "loops.py").write_text("from recent import LEAST\n")
    (folder / "recent.py").write_text(text)
    return folder


def test_ours_is_kept_under_the_hash_of_every_file_of_features() -> None:
    assert folder_of([FEATURES], [Path(compiled.folder).parent]) == compiled.folder


def test_a_constant_that_changes_in_another_file_makes_other_code(tmp_path: Path) -> None:
    before = folder_of([sources(tmp_path / "features")], [tmp_path])
    assert folder_of([sources(tmp_path / "features")], [tmp_path]) == before
    assert folder_of([sources(tmp_path / "features", "LEAST = 9\n")], [tmp_path]) != before


def test_where_the_package_cannot_be_written_the_next_place_is_taken(tmp_path: Path) -> None:
    (closed := tmp_path / "closed").write_text("no folder")
    assert folder_of([sources(tmp_path / "features")], [closed, tmp_path / "caches"]).startswith(
        str(tmp_path / "caches")
    )


def test_where_no_place_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (closed := tmp_path / "closed").write_text("no folder")
    assert folder_of([sources(tmp_path / "features")], [closed]) == ""


def test_a_file_may_be_a_source_by_itself(tmp_path: Path) -> None:
    named, beside = tmp_path / "named.py", tmp_path / "beside.py"
    for path in (named, beside):
        path.write_text("LEAST = 8\n")
    before = folder_of([named], [tmp_path])
    beside.write_text("LEAST = 9\n")
    assert folder_of([named], [tmp_path]) == before
    named.write_text("LEAST = 9\n")
    assert folder_of([named], [tmp_path]) != before
