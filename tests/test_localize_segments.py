"""The localize command with a segmentation network, on images of a colour a half."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import hasvideo
from hasvideo.checkpoint import load, save
from hasvideo.choice import Choice
from hasvideo.datasets.segmentation import read_mask
from hasvideo.errors import UsageError
from hasvideo.features import extractors
from hasvideo.localize import load_localizer
from hasvideo.networks.config import FcnConfig
from hasvideo.networks.fcn import Fcn
from hasvideo.output.writers import SEGMENT_FORMATS
from hasvideo.segmentation.localizer import Segmenter
from hasvideo.segmentation.model import SegmentationModel
from tests.colours import ColourExtractor, paint_video
from tests.colours import colour_model as actions_model
from tests.image.colours import colour_model as objects_model
from tests.image.colours import pass_pixels_through
from tests.test_localize import command

CLASSES = ("dark", "red", "green")


@pytest.fixture
def model(tmp_path) -> str:
    """Calls a pixel by the colour around it: conv1's first channels are means of red and green."""
    network = Fcn(FcnConfig(num_classes=3, width=0.05, batch_norm=False, half_size=True, skips=2))
    for parameter in network.first.parameters():
        parameter.data.zero_()
    network.first[0].weight.data[0, 0] = network.first[0].weight.data[1, 1] = 1 / 36
    score = network.scores[2]
    score.weight.data[1, 0] = score.weight.data[2, 1] = 1.0
    score.bias.data[0] = 100.0
    path = tmp_path / "seg.ckpt"
    save(SegmentationModel(str(path), CLASSES, network), path)
    return str(path)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:, :30, 0] = 255
    Image.fromarray(pixels).save(folder / "a.png")
    pixels[20:, 30:, 1] = 255
    Image.fromarray(pixels).save(folder / "b.bmp")
    return folder


def localize(capsys, *arguments):
    return command(capsys, *arguments, "--quiet")


def test_the_table_has_the_shares_of_the_classes(pictures, model, capsys):
    code, out, errors = localize(capsys, pictures / "a.png", "--model", model)
    assert (code, errors) == (0, [])
    heading, names, *rows = out.strip().splitlines()
    assert heading == f"{pictures / 'a.png'}  (60 x 40)"
    assert names.split() == ["label", "pixels"]
    found = {row.split()[0]: float(row.split()[1]) for row in rows}
    assert set(found) == {"dark", "red"}
    assert found["red"] == pytest.approx(50, abs=4)


def test_masks_pictures_and_shares_of_a_folder(pictures, model, capsys, tmp_path):
    for _ in range(2):  # into the folder itself: pictures are not taken for images in turn
        code, out, errors = localize(capsys, pictures, "--model", model, "-f", "all", "-o", pictures,
                                     "--results", tmp_path / "all.json")  # fmt: skip
        assert code == 0
        assert out.count("label") == 2
        assert len(errors) == 2 * len(SEGMENT_FORMATS)
    mask = read_mask(pictures / "b.mask.png")
    assert [int(mask[10, 10]), int(mask[10, 50]), int(mask[30, 50])] == [1, 0, 2]
    assert (pictures / "b.segments.png").exists()
    written = json.loads((tmp_path / "all.json").read_text())
    assert list(written["results"]) == ["a", "b"]
    entry = written["results"]["b"]
    assert (entry["width"], entry["height"]) == (60, 40)
    assert {c["label"] for c in entry["classes"]} == set(CLASSES)
    assert sum(c["share"] for c in entry["classes"]) == pytest.approx(1)
    assert json.loads((pictures / "b.json").read_text())["results"]["b"] == entry


def test_a_damaged_image_does_not_stop_the_others(pictures, model, capsys):
    (pictures / "a.png").write_text("no")
    code, out, errors = localize(capsys, pictures, "--model", model)
    assert code == 1
    assert "b.bmp" in out
    assert len(errors) == 1
    assert "a.png" in errors[0]


@pytest.mark.parametrize(("extra", "message"), [
    (["--threshold", "0.3", "--every-box"], "--threshold --every-box are for models that localize objects"),
    (["--classes", "red"], "--classes is for models that localize objects"),
    (["--top-k", "2"], "tells the class of every pixel"),
    (["--start", "1"], "--start is for videos; model"),
    (["-f", "csv"], "'csv' is for videos; accepted for segments of images: json, mask, png, svg, pdf, all"),
])  # fmt: skip
def test_what_a_segmentation_network_has_no_use_for(pictures, model, capsys, extra, message):
    code, out, errors = localize(capsys, pictures / "a.png", "--model", model, *extra)
    assert (code, out) == (2, "")
    assert message in errors[0]


def test_classes_can_be_listed(model, capsys):
    assert command(capsys, "--list-classes", "--model", model)[1].split() == list(CLASSES)


def test_from_python(pictures, model):
    found = hasvideo.localize(pictures / "b.bmp", model=model)
    assert (found.image, found.classes, found.labels.shape) == ("b", CLASSES, (40, 60))
    loaded = load(model)
    for other in (loaded, Segmenter(loaded)):
        assert np.array_equal(hasvideo.localize(pictures / "b.bmp", model=other).labels, found.labels)
    with pytest.raises(UsageError, match="is a video; model .* localizes segments in images"):
        hasvideo.localize("a.mp4", model=model)
    with pytest.raises(UsageError, match="--classes is for models that localize objects"):
        hasvideo.localize(pictures / "b.bmp", model=model, classes=["red"])


def test_models_of_every_kind_are_loaded_and_called_alike(pictures, model, tmp_path, monkeypatch):
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: ColourExtractor())
    pass_pixels_through(monkeypatch)
    clip = paint_video(tmp_path / "clip.mp4", "black", "red")
    paths = {actions_model(tmp_path / "a.ckpt"): clip, objects_model(tmp_path / "o.ckpt"): pictures / "b.bmp"}
    for checkpoint, path in {**paths, model: pictures / "a.png"}.items():
        localizer = load_localizer(checkpoint)
        assert load_localizer(localizer) is localizer
        found, known = localizer(path, Choice()), hasvideo.localize(path, model=checkpoint)
        assert (type(found), found.model, found.info) == (type(known), str(checkpoint), known.info)


def test_a_checkpoint_of_an_unknown_kind(pictures, tmp_path, capsys):
    metadata = {"hasvideo": json.dumps({"format": 1, "kind": "sounds"})}
    save_file({"weight": torch.zeros(1)}, tmp_path / "x.ckpt", metadata=metadata)
    code, _, errors = localize(capsys, pictures, "--model", tmp_path / "x.ckpt")
    assert code == 1
    assert "is a checkpoint for sounds; accepted: checkpoints for actions, objects, segments" in errors[0]
