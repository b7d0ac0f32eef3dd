"""Files appear whole or not at all."""

from __future__ import annotations

import pytest

from hasvideo.errors import HasvideoError
from hasvideo.files import atomic_path, check_writable, write_bytes, write_text


def test_a_file_appears_under_its_name_with_usual_permissions(tmp_path):
    write_text(tmp_path / "deep" / "a.txt", "né")
    assert (tmp_path / "deep" / "a.txt").read_text(encoding="utf-8") == "né"
    (tmp_path / "plain").touch()
    assert (tmp_path / "deep" / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, failure):
    target = tmp_path / "a.json"
    write_bytes(target, b"old")

    def fail_half_way():
        with atomic_path(target) as path:
            path.write_bytes(b"half")
            raise failure

    with pytest.raises(failure):
        fail_half_way()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_file_keeps_the_suffix_and_the_folder(tmp_path):
    with atomic_path(tmp_path / "plot.png") as path:
        assert path.suffix == ".png"
        assert path.parent == tmp_path
        path.write_bytes(b"x")


def test_what_the_system_refuses_is_one_line_with_the_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HasvideoError, match=r"cannot write .*a\.txt: \w+"):
        write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(HasvideoError, match="cannot write to"):
        check_writable(tmp_path / "file" / "deep")


def test_checking_makes_the_folder_and_leaves_it_empty(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
