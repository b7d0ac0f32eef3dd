"""Reading the PASCAL VOC layout, its mistakes, and the joint changes of images and masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from hasvideo.datasets.segmentation import (
    VOC_CLASSES,
    Segmented,
    SegmentedImages,
    find_pairs,
    image_statistics,
    read_classes,
    read_mask,
    read_pair,
    training_pairs,
)
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.segmentation.jitter import Collate, Jitter
from hasvideo.segmentation.recipe import JitterConfig
from hasvideo.training import Augmented
from tests.voc import CLASSES, HEIGHT, WIDTH, make_voc, write_list, write_mask

MEAN = torch.tensor([10.0, 20.0, 30.0])


@pytest.fixture
def root(tmp_path):
    return make_voc(tmp_path / "VOC2012", train=3, test=2)


def test_the_layout(root):
    assert read_classes(root) == CLASSES
    pairs = find_pairs(root, "train")
    assert list(pairs) == ["train_0", "train_1", "train_2"]
    image, mask = read_pair(pairs["train_1"], len(CLASSES))
    assert image.shape == (3, HEIGHT, WIDTH)
    assert (image.dtype, mask.dtype) == (torch.uint8, torch.uint8)
    assert mask.unique().tolist() == [0, 2, 255]
    assert image[1, mask == 2].float().mean() > 200 > image[1, mask == 0].float().mean()


def test_without_a_file_of_names_the_classes_are_vocs(root):
    (root / "classes.txt").unlink()
    assert read_classes(root) == VOC_CLASSES
    assert (len(VOC_CLASSES), VOC_CLASSES[0], VOC_CLASSES[15]) == (21, "background", "person")


def test_camvid(shared_data):
    root = shared_data / "camvid" / "VOCdevkit" / "CamVid"
    classes = read_classes(root)
    counts = [len(find_pairs(root, listed)) for listed in ("train", "val", "test")]
    assert (len(classes), counts) == (11, [367, 101, 233])
    pixels = np.zeros(256, dtype=np.int64)
    for pair in list(find_pairs(root, "val").values()):
        pixels += np.bincount(read_mask(pair.mask).ravel(), minlength=256)
    shares = 100 * pixels[:11] / pixels[:11].sum()
    assert shares[[0, 1, 10]] == pytest.approx([9.29, 26.31, 2.25], abs=0.005)
    assert 100 * pixels[255] / pixels.sum() == pytest.approx(1.71, abs=0.005)


def test_masks_hold_numbers_and_not_colours(tmp_path):
    numbers = np.array([[0, 1, 255], [20, 0, 2]], dtype=np.uint8)
    write_mask(tmp_path / "palette.png", numbers)
    Image.fromarray(numbers).save(tmp_path / "grey.png")
    savemat(tmp_path / "sbd.mat", {"GTcls": {"Segmentation": numbers, "Boundaries": 0}})
    for name in ("palette.png", "grey.png", "sbd.mat"):
        assert np.array_equal(read_mask(tmp_path / name), numbers)
    with Image.open(tmp_path / "palette.png") as image:
        assert not np.array_equal(np.asarray(image.convert("L")), numbers)
        image.convert("RGB").save(tmp_path / "colours.png")
    with pytest.raises(HasvideoError, match=r"colours\.png: holds colours \(mode RGB\)"):
        read_mask(tmp_path / "colours.png")


def test_damaged_masks(tmp_path):
    write_mask(tmp_path / "cut.png", np.zeros((50, 50), np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    (tmp_path / "text.png").write_text("no")
    (tmp_path / "text.mat").write_text("no")
    savemat(tmp_path / "other.mat", {"x": 1})
    for name in ("cut.png", "text.png", "text.mat", "other.mat"):
        with pytest.raises(HasvideoError, match=name):
            read_mask(tmp_path / name)


def test_a_mask_of_another_size(root):
    pair = find_pairs(root, "val")["val_0"]
    write_mask(pair.mask, np.zeros((HEIGHT, WIDTH - 1), np.uint8))
    with pytest.raises(HasvideoError, match=r"val_0\.png: the mask has 43 x 36 pixels, its image .*val_0\.jpg 44 x 36"):
        read_pair(pair, 3)


def test_a_mask_with_an_unknown_label(root):
    pairs = find_pairs(root, "val")
    numbers = read_mask(pairs["val_1"].mask)
    numbers[0, 0], numbers[0, 1] = 3, 254
    write_mask(pairs["val_1"].mask, numbers)
    message = r"val_1\.png: unknown label 3, 254; accepted: 0 to 2, and 255"
    with pytest.raises(HasvideoError, match=message):
        read_pair(pairs["val_1"], 3)
    with pytest.raises(HasvideoError, match=message):
        SegmentedImages(pairs, 3, in_memory=True)


@pytest.mark.parametrize(("path", "message"), [
    ("SegmentationClass/val_1.png", r"no mask .*val_1\.png, which .*val\.txt lists"),
    ("JPEGImages/val_1.jpg", r"no image .*val_1\.jpg, which .*val\.txt lists"),
])  # fmt: skip
def test_missing_files(root, path, message):
    (root / path).unlink()
    with pytest.raises(HasvideoError, match=message):
        find_pairs(root, "val")


def test_lists(root):
    write_list(root, "empty", [])
    with pytest.raises(HasvideoError, match=r"empty\.txt lists no image"):
        find_pairs(root, "empty")
    write_list(root, "twice", ["val_0", "val_1", "val_0"])
    with pytest.raises(HasvideoError, match=r"twice\.txt lists val_0 more than once"):
        find_pairs(root, "twice")
    with pytest.raises(UsageError, match=r"no list .*dev\.txt"):
        find_pairs(root, "dev")
    with pytest.raises(UsageError, match="no folder .*Masks of masks"):
        find_pairs(root, "val", "Masks")
    with pytest.raises(UsageError, match="no folder"):
        read_classes(root / "nowhere")


@pytest.mark.parametrize("text", ["", "a\nb\na\n"])
def test_names_must_be_clear(root, text):
    (root / "classes.txt").write_text(text)
    with pytest.raises(HasvideoError, match=r"classes\.txt must name 1 to 255 classes, each once"):
        read_classes(root)


@pytest.mark.parametrize("kind", ["png", "mat"])
def test_sbd_adds_images_but_none_that_are_tested(root, tmp_path, kind):
    """Its list overlaps with both of VOC's; VOC's own masks go first."""
    write_list(root, "train", ["train_0"])
    folder = root / "SegmentationClassAug" if kind == "png" else tmp_path / "cls"
    folder.mkdir()
    ids = ["train_0", "train_1", "val_0"]
    for image in ids:
        numbers = np.full((HEIGHT, WIDTH), 1, np.uint8)
        if kind == "png":
            Image.fromarray(numbers).save(folder / f"{image}.png")
        else:
            savemat(folder / f"{image}.mat", {"GTcls": {"Segmentation": numbers}})
    extra = tmp_path / "trainaug.txt"
    paths = kind == "png"
    extra.write_text(
        "".join(f"/JPEGImages/{i}.jpg /SegmentationClassAug/{i}.png\n" if paths else f"{i}\n" for i in ids)
    )
    tested = find_pairs(root, "val")
    with pytest.warns(UserWarning, match="1 of 3 images of .*trainaug.txt are tested on and not trained on"):
        found = training_pairs(root, "train", tested, extra, folder.name if kind == "png" else folder)
    assert list(found) == ["train_0", "train_1"]
    assert found["train_0"].mask.parent.name == "SegmentationClass"
    assert read_pair(found["train_1"], 3).mask.unique().tolist() == [1]


def test_memory_or_not_is_the_same(root):
    pairs = find_pairs(root, "train")
    lazy, held = (SegmentedImages(pairs, 3, in_memory) for in_memory in (False, True))
    assert len(lazy) == len(held) == 3
    for one, other in zip(lazy, held, strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.mask, other.mask)
    mean, std = image_statistics(held)
    pixels = torch.cat([s.image.flatten(1) for s in held], dim=1).float()
    torch.testing.assert_close((mean, std), (pixels.mean(dim=1), pixels.std(dim=1, correction=0)))


def sample(height=40, width=30) -> Segmented:
    """The image says in every pixel what the mask says, so that they can be compared after any change."""
    mask = torch.arange(height * width).reshape(height, width) // 7 % 200
    return Segmented(mask.to(torch.uint8).repeat(3, 1, 1), mask.to(torch.uint8))


@given(seed=st.integers(0, 10_000), crop=st.integers(0, 70), flip=st.booleans())
def test_image_and_mask_move_together(seed, crop, flip):
    jitter = Jitter(JitterConfig(crop=crop, flip=flip), MEAN)
    image, mask = jitter(sample(), torch.Generator().manual_seed(seed))
    assert tuple(mask.shape) == ((crop, crop) if crop else (40, 30))
    counted = mask != 255
    assert torch.equal(image[0][counted], mask[counted])
    assert (image[:, ~counted] == MEAN[:, None]).all()
    assert counted.sum() == (min(crop, 40) * min(crop, 30) if crop else 1200)


def test_scaling_keeps_labels_whole_and_in_place():
    big = Segmented(torch.zeros(3, 40, 40, dtype=torch.uint8), torch.zeros(40, 40, dtype=torch.uint8))
    big.image[:, :20], big.mask[:20] = 200, 3
    sizes = set()
    for seed in range(20):
        image, mask = Jitter(JitterConfig(min_scale=0.5, max_scale=2.0), MEAN)(big, torch.Generator().manual_seed(seed))
        assert mask.shape == image.shape[1:]
        assert mask.unique().tolist() == [0, 3]
        assert ((image[0] > 100) == (mask == 3)).float().mean() > 0.95
        sizes.add(len(mask))
    assert 20 <= min(sizes) < 30
    assert 60 < max(sizes) <= 80


def test_crops_lie_anywhere_and_half_are_mirrored():
    numbered = Segmented(
        torch.zeros(3, 12, 10, dtype=torch.uint8), torch.arange(120, dtype=torch.uint8).reshape(12, 10)
    )
    jitter = Jitter(JitterConfig(crop=8, flip=True), MEAN)
    crops = [jitter(numbered, torch.Generator().manual_seed(seed)).mask for seed in range(300)]
    mirrored = [bool(mask[0, 0] > mask[0, 1]) for mask in crops]
    corners = {int(mask[0].min()) for mask in crops}
    assert corners == {10 * top + left for top in range(5) for left in range(3)}
    assert 110 < sum(mirrored) < 190


def test_each_epoch_changes_a_sample_anew_and_any_process_alike(root):
    samples = SegmentedImages(find_pairs(root, "train"), 3)
    jittered = [Augmented(samples, Jitter(JitterConfig(20, 0.5, 2.0, True), MEAN), seed=4) for _ in range(2)]
    torch.manual_seed(99)
    first = jittered[0][1]
    assert torch.equal(first.image, jittered[1][1].image)
    assert torch.equal(first.mask, jittered[1][1].mask)
    jittered[0].epoch = 1
    assert not torch.equal(first.image, jittered[0][1].image)


def test_a_batch_of_several_sizes():
    batch = Collate(MEAN)([sample(4, 6), sample(5, 3)])
    assert batch.image.shape == (2, 3, 5, 6)
    assert torch.equal(batch.mask[1, :, :3], sample(5, 3).mask)
    assert (batch.mask[0, 4] == 255).all()
    assert (batch.mask[1, :, 3:] == 255).all()
    assert batch.image[0, :, 4, 0].tolist() == MEAN.tolist()
    assert torch.equal(batch.image[0, :, :4], sample(4, 6).image)


@pytest.mark.parametrize("settings", [{"crop": -1}, {"min_scale": 0.0}, {"min_scale": 2.0}])
def test_settings_out_of_range(settings):
    with pytest.raises(UsageError, match="jitter"):
        JitterConfig(**settings)
