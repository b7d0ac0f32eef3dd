"""Times are those of players: what a browser shows at a time is what the network saw then."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hasvideo.frames.decode import open_reader
from tests.video_files import constant_times, read_number, read_numbers, variable_times, write_video

FPS = 25
SHOW = """
const [data, type, times, done] = arguments;
(async () => {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
  const video = document.createElement('video'), canvas = document.createElement('canvas'), shown = [];
  video.muted = true;
  const happens = name => new Promise((resolve, reject) => {
    video.addEventListener(name, resolve, {once: true});
    video.addEventListener('error', () => reject(video.error.message), {once: true});
  });
  const loaded = happens('loadeddata');
  video.src = URL.createObjectURL(new Blob([bytes], {type}));
  await loaded;
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext('2d', {willReadFrequently: true});
  for (const time of times) {
    const seeked = happens('seeked');
    video.currentTime = time;
    await seeked;
    await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    context.drawImage(video, 0, 0);
    shown.push(Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data.filter((_, i) => i % 4 == 0)));
  }
  return {duration: video.duration, height: canvas.height, shown};
})().then(done, error => done(String(error)));
"""
FILES: dict[str, dict[str, Any]] = {
    "plain.mp4": {},
    "reordered.mp4": {"b_frames": 2},
    "late.mp4": {"first_time": 1, "sound": 4},
    "late_reordered.mp4": {"first_time": 1, "sound": 4, "b_frames": 2},
    "late_alone.mp4": {"first_time": 1},
    "late_fragmented.mp4": {
        "first_time": 1, "sound": 4, "container_options": {"movflags": "frag_keyframe+empty_moov+delay_moov"},
    },
    "late_without_edits.mp4": {"first_time": 1, "sound": 4, "container_options": {"use_editlist": "0"}},
    "sound_late.mp4": {"sound": 2, "sound_from": 1},
    "late.webm": {"first_time": 1, "sound": 4, "codec": "libvpx", "options": {"deadline": "realtime"}},
    "late_alone.webm": {"first_time": 1, "codec": "libvpx", "options": {"deadline": "realtime"}},
    "both_late.mp4": {"first_time": 2, "sound": 2, "sound_from": 1},
    "both_late.mkv": {"first_time": 2, "sound": 2, "sound_from": 1},
    "variable.mp4": {"times": variable_times(30), "first_time": 0.7, "sound": 4},
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_the_browser_shows_at_each_time_the_frame_that_was_read_for_it(browser, tmp_path, name):
    options = {"times": constant_times(FPS, 50)} | FILES[name]
    path = write_video(tmp_path / name, **options)
    reader = open_reader(path, "pyav", fps=FPS, short_side=96)
    read = read_numbers(reader.chunks(64))
    steps = range(2, len(read) - 2, 7)

    browser.get("about:blank")
    data, times = base64.b64encode(path.read_bytes()).decode(), [(k + 0.5) / FPS + 1.3e-5 for k in steps]
    seen = browser.execute_async_script(SHOW, data, f"video/{path.suffix[1:]}", times)

    assert isinstance(seen, dict), seen
    assert reader.info.duration <= seen["duration"] + 0.2
    images = [np.array(values, np.uint8).reshape(seen["height"], -1, 1) for values in seen["shown"]]
    assert [read_number(image) for image in images] == [read[k] for k in steps]


def test_the_file_of_a_late_picture(browser, shared_data: Path):
    """``d_late.mp4``: the picture comes 2 s after the sound."""
    path = shared_data / "faults" / "d_late.mp4"
    frames = list(open_reader(path, "pyav", fps=FPS, short_side=None).frames())
    steps = range(40, 80, 3)

    browser.get("about:blank")
    data, times = base64.b64encode(path.read_bytes()).decode(), [(k + 0.5) / FPS + 1.3e-5 for k in steps]
    seen = browser.execute_async_script(SHOW, data, "video/mp4", times)

    assert isinstance(seen, dict), seen
    for step, values in zip(steps, seen["shown"], strict=True):
        shown = np.array(values, float).reshape(seen["height"], -1)
        distances = {k: np.abs(shown - frames[k][..., 0]).mean() for k in range(step - 3, step + 4)}
        assert distances[step] <= min(distances.values()) + 0.01, (step, distances)
