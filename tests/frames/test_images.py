"""Images of every kind come out as the RGB that a viewer shows; what is no image is named in one line."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from PIL import Image

from hasvideo.errors import HasvideoError
from hasvideo.frames.images import read_image

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def halves() -> Image.Image:
    """12 wide, 8 high; left half red, right half blue."""
    image = Image.new("RGB", (12, 8), RED)
    image.paste(BLUE, (6, 0, 12, 8))
    return image


def corners(pixels):
    return tuple(pixels[0, 0]), tuple(pixels[0, -1])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".webp", ".tif", ".gif"])
def test_pixels_and_size_are_those_of_the_file(halves, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    halves.save(path, **({"lossless": True} if suffix == ".webp" else {}))
    pixels, info = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert (pixels == np.asarray(halves)).all()
    assert (info.path, info.width, info.height) == (path, 12, 8)


@pytest.mark.parametrize(("orientation", "size", "expected"), [
    (1, (12, 8), (RED, BLUE)), (2, (12, 8), (BLUE, RED)), (3, (12, 8), (BLUE, RED)), (6, (8, 12), (RED, RED)),
    (8, (8, 12), (BLUE, BLUE)),
])  # fmt: skip
def test_exif_orientation_is_applied(halves, tmp_path, orientation, size, expected):
    exif = Image.Exif()
    exif[0x0112] = orientation
    halves.save(tmp_path / "a.png", exif=exif)
    pixels, info = read_image(tmp_path / "a.png")
    assert (info.width, info.height) == size
    assert corners(pixels) == expected


def test_cmyk_becomes_the_same_colours(halves, tmp_path):
    halves.convert("CMYK").save(tmp_path / "a.jpg", quality=100, subsampling=0)
    pixels, _ = read_image(tmp_path / "a.jpg")
    assert np.abs(pixels.astype(int) - np.asarray(halves)).max() < 12


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_bilevel_and_palette(tmp_path, mode):
    image = Image.new("RGB", (4, 2), WHITE)
    image.paste(BLACK, (2, 0, 4, 2))
    image.convert(mode).save(tmp_path / "a.png")
    assert corners(read_image(tmp_path / "a.png")[0]) == (WHITE, BLACK)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path, suffix):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    pixels, _ = read_image(tmp_path / f"a{suffix}")
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]
    assert (pixels == pixels[:, :, :1]).all()


def test_integers_that_fit_sixteen_bits_count_as_such(tmp_path):
    Image.fromarray(np.array([[0, 65535]], np.int32)).save(tmp_path / "a.tif")
    assert corners(read_image(tmp_path / "a.tif")[0]) == (BLACK, WHITE)


@pytest.mark.parametrize("values", [np.array([[0.5]], np.float32), np.array([[70000]], np.int32)])
def test_pixels_of_unknown_range_are_refused(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(HasvideoError, match=r"cannot read .*a\.tif: its pixels are neither of 8 nor of 16 bits"):
        read_image(tmp_path / "a.tif")


def test_transparent_parts_are_laid_over_white(tmp_path):
    Image.fromarray(np.array([[[255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)).save(tmp_path / "a.png")
    pixels, _ = read_image(tmp_path / "a.png")
    assert corners(pixels[:, :2]) == (RED, WHITE)
    assert abs(int(pixels[0, 2, 0]) - 127) <= 1


def test_a_transparent_palette_entry_is_laid_over_white_too(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=1)
    assert corners(read_image(tmp_path / "a.png")[0]) == (RED, WHITE)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_of_an_animation_the_first_frame_is_taken_with_a_warning(tmp_path, suffix):
    first, second = Image.new("RGB", (4, 4), RED), Image.new("RGB", (4, 4), BLUE)
    options = {"lossless": True} if suffix == ".webp" else {}
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=[second], **options)
    with pytest.warns(UserWarning, match=rf"a\{suffix} has 2 frames; only the first"):
        pixels, _ = read_image(tmp_path / f"a{suffix}")
    assert tuple(pixels[0, 0]) == RED


def test_a_photo_with_a_preview_in_it_is_no_animation(halves, tmp_path):
    halves.save(tmp_path / "a.mpo", save_all=True, append_images=[halves])
    assert read_image(tmp_path / "a.mpo")[1].width == 12


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "the file is empty"),
    (b"plain text\n" * 20, "not an image that Pillow knows"),
    (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "convert it to JPEG or PNG"),
    (b"\xff\xd8\xff\xe0", "cannot read"),
])  # fmt: skip
def test_what_is_no_image_is_named_in_one_line(tmp_path, content, reason):
    (tmp_path / "bad.jpg").write_bytes(content)
    with pytest.raises(HasvideoError, match=reason) as caught:
        read_image(tmp_path / "bad.jpg")
    assert "bad.jpg" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_truncated_image_is_an_error_at_every_cut(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / f"whole{suffix}")
    content = (tmp_path / f"whole{suffix}").read_bytes()
    for percent in range(10, 100, 10):
        (tmp_path / f"cut{suffix}").write_bytes(content[: len(content) * percent // 100])
        with pytest.raises(HasvideoError, match="cannot read .*cut"):
            read_image(tmp_path / f"cut{suffix}")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".tif", ".webp", ".bmp"])
def test_flipped_bytes_give_pixels_or_an_error_in_one_line(halves, tmp_path, suffix):
    halves.save(tmp_path / f"whole{suffix}")
    content = np.fromfile(tmp_path / f"whole{suffix}", np.uint8)
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(60):
        damaged = content.copy()
        damaged[rng.integers(0, len(damaged), 4)] = rng.integers(0, 256, 4)
        damaged.tofile(tmp_path / f"x{suffix}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                pixels, info = read_image(tmp_path / f"x{suffix}")
            except HasvideoError as error:
                messages.append(str(error))
            else:
                assert pixels.shape == (info.height, info.width, 3)
    assert messages
    assert all(f"x{suffix}" in message and "\n" not in message for message in messages)


def test_a_decompression_bomb_is_an_error(halves, tmp_path, monkeypatch):
    halves.save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(HasvideoError, match=r"cannot read .*bomb\.png: Image size \(96 pixels\)"):
        read_image(tmp_path / "bomb.png")


def test_missing_files_folders_and_pipes(tmp_path):
    with pytest.raises(HasvideoError, match=r"absent\.jpg: No such file"):
        read_image(tmp_path / "absent.jpg")
    with pytest.raises(HasvideoError, match="not a file"):
        read_image(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(HasvideoError, match="not a file"):
        read_image(tmp_path / "pipe.jpg")
