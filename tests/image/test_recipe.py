"""Settings of an image localizer's training, and the files that hold them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hasvideo.errors import UsageError
from hasvideo.image.recipe import ImageRecipe, PatchConfig
from hasvideo.networks.config import ImageConfig
from hasvideo.segmentation.recipe import SegmentationRecipe
from hasvideo.settings import TrainingConfig
from hasvideo.train_imagenet import load_recipe

CONFIGS = Path(__file__).parents[2] / "configs"
ROWS = sorted(p for folder in ("imagenet", "small") for p in (CONFIGS / folder).glob("*net_*.yaml"))


def test_the_defaults_are_the_papers_own_row():
    assert load_recipe(CONFIGS / "imagenet" / "alexnet_has_mix.yaml").hiding == ImageRecipe().hiding
    defaults = ImageRecipe().training
    assert (defaults.rate(17), defaults.rate(18), defaults.rate(29), defaults.rate(43)) == (1e-2, 5e-3, 1e-3, 5e-4)
    assert (defaults.rate(52), defaults.decay(29), defaults.decay(30)) == (1e-4, 5e-4, 0.0)


@pytest.mark.parametrize("path", ROWS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_config_is_read_and_has_its_own_folder(path):
    recipe = load_recipe(path)
    assert recipe.network.architecture == path.stem.split("_")[0]
    assert f"output: runs/{path.parent.name}/{path.stem}" in path.read_text()
    assert ("has" in path.stem) == (recipe.hiding.p > 0)


def test_small_patches_are_half_of_the_papers():
    full, small = (load_recipe(CONFIGS / folder / "alexnet_has_mix.yaml") for folder in ("imagenet", "small"))
    assert small.hiding.sizes == tuple(size // 2 for size in full.hiding.sizes)


def test_rows_differ_from_their_base_in_the_named_setting_only():
    base, other = (load_recipe(CONFIGS / "imagenet" / f"alexnet_{n}.yaml") for n in ("gap", "gmp"))
    assert other.network.pooling == "max"
    assert (base.hiding, base.training, base.rule) == (other.hiding, other.training, other.rule)


def test_a_setting_that_means_nothing_for_images_is_no_option(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("training: {smoothness: 1.0}\n")
    with pytest.raises(SystemExit) as ended:
        load_recipe(tmp_path / "config.yaml")
    assert ended.value.code == 2
    assert "smoothness" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [
    lambda: ImageConfig(architecture="vgg"), lambda: ImageConfig(crop=300), lambda: ImageConfig(input_dropout=1.0),
    lambda: ImageConfig(width=0), lambda: PatchConfig(()), lambda: PatchConfig((-1,)), lambda: PatchConfig(p=1.5),
    lambda: PatchConfig(at="conv9"),
])  # fmt: skip
def test_settings_out_of_range_are_usage_errors(wrong):
    with pytest.raises(UsageError):
        wrong()


@pytest.mark.parametrize("kind", [ImageRecipe, SegmentationRecipe])
def test_smoothness_over_time_is_not_for_images(kind):
    with pytest.raises(UsageError, match=r"images have none: got 0\.5"):
        kind(training=TrainingConfig(smoothness=0.5))
