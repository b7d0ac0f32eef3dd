"""Following a stream: intervals come out as they close, agree with those of the file, and memory stays as it is."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.memory import loop_video
from hasvideo.choice import Choice
from hasvideo.commands import run
from hasvideo.errors import DecodeError
from hasvideo.features import extractors
from hasvideo.features.extract_one import extract_features
from hasvideo.localize import Localizer, main
from hasvideo.networks.temporal import TemporalNetwork
from hasvideo.video.model import Model, load_model
from hasvideo.video.stream import Follower, follow
from tests.colours import CLASSES, ColourExtractor, colour_model, paint_video

COMMAND = """
from hasvideo.features import extractors
from tests.colours import ColourExtractor
extractors.load_extractor = lambda *_: ColourExtractor()
from hasvideo.commands import run
from hasvideo.localize import main
run(main)
"""
LATENCY = 0.6  # seconds: a step of half a second behind the interval, and a frame


@pytest.fixture
def model(tmp_path) -> Path:
    return colour_model(tmp_path / "colours.ckpt")


@pytest.fixture
def localizer(model, monkeypatch) -> Localizer:
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: ColourExtractor())
    return Localizer(str(model))


@pytest.fixture
def clip(tmp_path) -> Path:
    return paint_video(tmp_path / "clip.mkv", "black", "red", "red", "black", "green", "black")


@pytest.fixture
def pipe(tmp_path) -> Path:
    os.mkfifo(tmp_path / "pipe.mkv")
    return tmp_path / "pipe.mkv"


def write_into(pipe: Path, source: Path, seconds: int) -> subprocess.Popen:
    """Loop a video into a pipe, until nobody reads any more."""
    code = (
        "from sys import argv; from benchmarks.memory import *; loop_video(Path(argv[1]), Path(argv[2]), int(argv[3]))"
    )
    return subprocess.Popen([sys.executable, "-c", code, source, pipe, str(seconds)], stderr=subprocess.DEVNULL)


def start(model, *arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "--model", str(model), "--follow", "--quiet", *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def spans(intervals, label):
    return [(round(i.start, 6), round(i.end, 6)) for i in intervals if i.label == label]


def test_a_looped_video_through_a_pipe_gives_what_the_file_gives(clip, pipe, tmp_path, localizer):
    whole = loop_video(clip, tmp_path / "whole.mkv", 30)
    choice = Choice(classes=("red", "green"))
    offline = localizer(whole, choice)
    writer = write_into(pipe, clip, 30)
    closed = list(follow(pipe, localizer, choice))
    assert writer.wait() == 0
    found = [c.interval for c in closed]
    assert len(spans(found, "red")) == 5
    for label in choice.classes:
        assert spans(found, label) == sorted(spans(offline.intervals, label))
    assert all(0 <= c.read - c.interval.end <= LATENCY for c in closed)
    assert [c.interval.end for c in closed] == sorted(c.interval.end for c in closed)


def test_a_stream_has_the_features_of_the_file(clip, pipe, tmp_path):
    whole = loop_video(clip, tmp_path / "whole.mkv", 30)
    write_into(pipe, clip, 30)
    streamed = extract_features(pipe, ColourExtractor())
    wanted = extract_features(whole, ColourExtractor(), decoder="pyav")
    np.testing.assert_allclose(streamed.array, wanted.array, atol=1e-5)
    np.testing.assert_allclose(streamed.edges, wanted.edges, atol=1e-5)
    assert streamed.info.duration == pytest.approx(wanted.info.duration)


MEASURE = """
import sys
from pathlib import Path
import psutil
from benchmarks.memory import memory_of
from hasvideo.choice import Choice
from hasvideo.localize import Localizer
from hasvideo.features import extractors
from hasvideo.video.stream import follow
from tests.colours import ColourExtractor

extractors.load_extractor = lambda *_: ColourExtractor()
process, measured = psutil.Process(), {}

def watch(_info, time, _frames):
    if int(time / 60) not in measured:
        measured[int(time / 60)] = sum(map(memory_of, [process, *process.children()]))

localizer, choice = Localizer(sys.argv[1]), Choice(classes=("red",))
found = sum(1 for _ in follow(Path(sys.argv[2]), localizer, choice, look_back=20, end=1200, watch=watch))
print(found, measured[19] - measured[1])
"""


def test_memory_stays_as_it_is_however_long_the_stream(clip, pipe, model):
    write_into(pipe, clip, 3600)
    # A process of its own: what other tests left in this one grows and shrinks as it likes.
    words = [sys.executable, "-c", MEASURE, str(model), str(pipe)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found, growth = map(int, done.stdout.split())
    assert found == 200
    assert growth < 8 * 2**20


def test_intervals_are_told_while_standard_input_is_open(clip, tmp_path, model):
    whole = loop_video(clip, tmp_path / "whole.mkv", 60)
    process = start(model, "-", "--classes", "red")
    process.stdin.write(whole.read_bytes())
    process.stdin.flush()
    first = json.loads(process.stdout.readline())
    assert process.poll() is None
    assert first["label"] == "red"
    assert first["segment"] == pytest.approx([1.0, 3.0], abs=0.11)
    assert 0 < first["read"] - first["segment"][1] <= LATENCY
    process.stdin.close()
    # Not communicate(), which passes over what readline() has taken from the pipe already.
    assert len(process.stdout.read().splitlines()) == 9
    assert process.wait(60) == 0


def test_ctrl_c_tells_what_is_open(clip, localizer):
    def press(_info, time, _frames):
        if time >= 2:
            raise KeyboardInterrupt

    told = follow(clip, localizer, Choice(classes=("red",)), watch=press)
    assert spans([next(told).interval], "red") == [(1.0, 2.0)]
    with pytest.raises(KeyboardInterrupt):
        next(told)


def test_ctrl_c_ends_the_command_with_one_line(tmp_path, pipe, model):
    keep_open = os.open(pipe, os.O_RDWR)  # an end that does not come
    write_into(pipe, paint_video(tmp_path / "red.mkv", "black", "red", "black", *["red"] * 60), 63)
    process = start(model, pipe, "--classes", "red")
    assert json.loads(process.stdout.readline())["segment"] == [1.0, 2.0]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    os.close(keep_open)
    assert process.returncode == 130
    assert errors == b"hasvideo: error: interrupted\n"


@pytest.fixture
def server(clip):
    """An address whose ``/whole`` is a video and ``/cut`` breaks off in the middle of it."""
    data = clip.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data if self.path == "/whole" else data[: len(data) * 2 // 3])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_http_stream_is_followed_to_its_end(server, localizer):
    found = [c.interval for c in follow(f"{server}/whole", localizer, Choice(classes=("red", "green")))]
    assert spans(found, "red") == [(1.0, 3.0)]
    assert spans(found, "green") == [(4.0, 5.0)]


def test_a_connection_that_breaks_gives_the_intervals_so_far_and_one_line(server, model):
    process = start(model, f"{server}/cut", "--classes", "red,green")
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert json.loads(out.splitlines()[0])["segment"] == [1.0, 3.0]
    assert errors.count(b"\n") == 1
    assert b"/cut: the stream broke off after " in errors


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["a.mkv", "b.mkv"], 2, "--follow reads one video or stream, got a.mkv b.mkv"),
    (["-", "-f", "json"], 2, "--format cannot be with --follow"),
    (["-", "-o", "x", "--theme", "dark"], 2, "--output --theme cannot be with --follow"),
    (["-", "--skip-existing"], 2, "--skip-existing cannot be with --follow"),
    (["picture.jpg"], 2, "picture.jpg is an image"),
    (["-", "--look-back", "0.5"], 2, "look-back is a number of seconds from 1 to 86400, got 0.5"),
    (["-", "--classes", "pink"], 2, "no class 'pink'"),
    (["a.mkv"], 1, "a.mkv: no video, or one that is damaged"),
])  # fmt: skip
def test_what_cannot_be_followed_is_one_line(tmp_path, localizer, capsys, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    for name in ("a.mkv", "b.mkv", "picture.jpg"):
        (tmp_path / name).write_text("this is text\n" * 99)
    model = str(localizer.model.name)
    with pytest.raises(SystemExit) as left:
        run(main, ["--follow", "--quiet", "--model", model, *arguments])
    out, errors = capsys.readouterr()
    assert (left.value.code, out) == (code, "")
    assert message in errors
    assert errors.count("\n") == 1


def colours(*names: str) -> np.ndarray:
    """A feature each: half a second of that colour."""
    basis = dict(zip(CLASSES, np.eye(3, dtype=np.float32), strict=True))
    return np.stack([basis.get(name, np.zeros(3, np.float32)) for name in names])


def fed(model: Path, features: np.ndarray, at_once: int = 1, **options):
    follower = Follower(load_model(model), ColourExtractor.grid, Choice(classes=("red",)), **options)
    told = [follower.feed(features[i : i + at_once]) for i in range(0, len(features), at_once)]
    return [(i.start, i.end) for part in [*told, follower.finish()] for i in part]


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_a_step_behind_an_interval_closes_it(model, at_once):
    features = colours("black", "red", "red", "black", "red", "black", "black")
    assert fed(model, features, at_once) == [(0.5, 1.5), (2.0, 2.5)]


def test_an_action_longer_than_the_window_is_told_in_parts_that_leave_nothing_out(model):
    parts = fed(model, colours("black", *["red"] * 100, "black"), look_back=10)
    assert (parts[0][0], parts[-1][1]) == (0.5, 50.5)
    assert [a for a, _ in parts[1:]] == [b for _, b in parts[:-1]]
    assert all(b - a <= 11 for a, b in parts)


def test_an_old_action_is_not_told_again_or_late(model):
    strong, weak = colours("red"), colours("red") * 0.4  # the weak one is below half of the strong one's CAM
    features = np.concatenate([strong, np.repeat(colours("black"), 9, 0), weak, np.repeat(colours("black"), 60, 0)])
    assert fed(model, features, look_back=15) == [(0.0, 0.5)]
    assert (5.0, 5.5) in fed(model, features, look_back=4)


def test_a_merge_gap_delays_the_end_and_joins(localizer, model):
    follower = Follower(localizer.model, ColourExtractor.grid, Choice(classes=("red",), merge_gap=0.5))
    told = [follower.feed(colours(name)) for name in ("red", "black", "red", "black", "black", "black")]
    assert [bool(t) for t in told] == [False, False, False, False, True, False]
    assert (told[4][0].start, told[4][0].end) == (0.0, 1.5)


def test_the_networks_context_delays_what_is_settled(model):
    smoothed = smoothing(load_model(model), 2)
    follower = Follower(smoothed, ColourExtractor.grid, Choice(classes=("red",)))
    features = colours(*["black"] * 4, *["red"] * 6, *["black"] * 6)
    told = [follower.feed(features[i : i + 1]) for i in range(len(features))]
    steps = [i for i, t in enumerate(told) if t]
    assert steps == [12]  # the step behind the interval is settled when two more have come
    assert (told[12][0].start, told[12][0].end) == (2.0, 5.0)


def smoothing(model: Model, times: int) -> Model:
    network = TemporalNetwork(replace(model.network.config, smoothing=times))
    network.load_state_dict(model.network.state_dict())
    return replace(model, network=network)


def test_a_broken_file_is_an_error_after_its_intervals(clip, tmp_path, localizer):
    whole = loop_video(clip, tmp_path / "whole.mkv", 30)
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    told = follow(tmp_path / "cut.mkv", localizer, Choice(classes=("red",)))
    assert spans([next(told).interval], "red") == [(1.0, 3.0)]
    with pytest.raises(DecodeError, match="truncated or damaged"):
        list(told)
