"""Streams as sources: what counts as one, what it is called, and a clock that is set while it runs."""

from __future__ import annotations

import os
from fractions import Fraction

import pytest

from hasvideo.errors import DecodeError, UsageError
from hasvideo.frames.decode import open_reader
from hasvideo.frames.live import LiveContainer, StreamPath, as_source, stream_path
from hasvideo.frames.process import FrameStream
from tests.video_files import constant_times, expected_numbers, read_numbers, write_video


def test_a_url_is_called_without_its_secrets():
    source = as_source("rtsp://user:pass@camera:8554/yard?token=1")
    assert isinstance(source, StreamPath)
    assert (str(source), source.stem) == ("rtsp://camera:8554/yard", "yard")
    assert source.address == "rtsp://user:pass@camera:8554/yard?token=1"
    assert as_source(source) is source


def test_files_are_no_streams_and_pipes_are(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "clip.mp4").touch()
    assert isinstance(as_source(tmp_path / "pipe"), StreamPath)
    assert as_source("-").stem == "stdin"
    for path in (tmp_path / "clip.mp4", tmp_path / "missing.mp4"):
        assert not isinstance(as_source(str(path)), StreamPath)


def test_an_unknown_scheme_is_refused_with_those_that_are_read():
    with pytest.raises(UsageError, match="cannot read ftp:// streams; accepted: http, https"):
        as_source("ftp://host/clip.mp4")


def test_a_piped_video_gives_the_frames_of_the_file(tmp_path, monkeypatch):
    times = constant_times(Fraction(30000, 1001), 200)
    write_video(tmp_path / "clip.mkv", times)
    with (tmp_path / "clip.mkv").open("rb") as file:  # a file as standard input
        monkeypatch.setattr(os, "dup", lambda _, dup=os.dup: dup(file.fileno()))
        with FrameStream("-", fps=10.0, short_side=48) as stream:
            assert stream.length is None
            assert read_numbers(stream.chunks()) == expected_numbers(times, 10.0)


def test_a_part_of_a_stream_is_read(tmp_path):
    times = constant_times(25, 100)
    write_video(tmp_path / "clip.mkv", times)
    os.mkfifo(tmp_path / "pipe")
    writer = os.fork()
    if not writer:  # a writer that goes on when nobody reads any more
        try:
            (tmp_path / "pipe").write_bytes((tmp_path / "clip.mkv").read_bytes())
        finally:
            os._exit(0)
    with FrameStream(tmp_path / "pipe", fps=25.0, short_side=48, start=1.0, end=2.0) as stream:
        assert read_numbers(stream.chunks()) == expected_numbers(times, 25.0, 1.0, 2.0)
    os.waitpid(writer, 0)


def test_frames_before_the_first_time_are_left_out(tmp_path, monkeypatch):
    decode = LiveContainer._decode

    def unstamped(self, container, stream):  # as FFmpeg gives an RTSP camera's first frames
        for number, frame in enumerate(decode(self, container, stream)):
            if number < 3:
                frame.pts = None
            yield frame

    write_video(tmp_path / "clip.mkv", constant_times(10, 40))
    monkeypatch.setattr(LiveContainer, "_decode", unstamped)
    with (tmp_path / "clip.mkv").open("rb") as file:
        source = stream_path("clip", f"fd:{file.fileno()}")
        assert read_numbers(open_reader(source, fps=10.0, short_side=48).chunks(8))[:36] == list(range(3, 39))


def test_what_is_no_video_and_what_is_not_there_is_told_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "text").write_text("no video at all\n" * 1000)
    with (tmp_path / "text").open("rb") as file:
        monkeypatch.setattr(os, "dup", lambda _, dup=os.dup: dup(file.fileno()))
        with pytest.raises(DecodeError, match="standard input: "), FrameStream("-"):
            pass
    address = "http://u:secret@127.0.0.1:9/x?key=secret"
    with pytest.raises(DecodeError, match=r"http://127\.0\.0\.1:9/x: .*refused") as caught, FrameStream(address):
        pass
    assert "secret" not in str(caught.value)


def test_torchcodec_is_not_for_streams():
    with pytest.raises(UsageError, match="PyAV decodes streams"):
        open_reader("http://127.0.0.1:9/x", "torchcodec")
