import subprocess
import sys
from dataclasses import fields

import pytest

from hasvideo.commands import CommandParser
from hasvideo.errors import UsageError
from hasvideo.image.recipe import ImageRecipe
from hasvideo.networks.config import TemporalConfig
from hasvideo.segmentation.recipe import SegmentationRecipe
from hasvideo.settings import TrainingConfig, add_options, from_options
from hasvideo.types import BoxRule, IntervalRule
from hasvideo.video.recipe import OWN_VIDEOS, HidingConfig, Recipe


def parse(*arguments, defaults=Recipe()):  # noqa: B008, as it is frozen
    parser = CommandParser("test", "A test.")
    add_options(parser, defaults)
    return from_options(parser.parse_args(list(arguments)), type(defaults))


@pytest.mark.parametrize("recipe", [Recipe(), OWN_VIDEOS, ImageRecipe(), SegmentationRecipe()])
def test_no_options_are_the_defaults(recipe):
    assert parse(defaults=recipe) == recipe


def test_every_setting_is_an_option_with_its_reason(capsys):
    parser = CommandParser("test", "A test.")
    add_options(parser, Recipe())
    with pytest.raises(SystemExit):
        parser.parse_args(["--help-all"])
    text = capsys.readouterr().out
    for group, settings in (("network", TemporalConfig), ("hiding", HidingConfig), ("training", TrainingConfig)):
        for field in fields(settings):
            if field.name not in ("in_channels", "num_classes"):
                assert f"--{group}.{field.name.replace('_', '-')} " in text
    assert "equal parts of a video, each hidden or shown as a whole (default: 20; the paper's)" in " ".join(
        text.split()
    )


def test_help_names_the_settings_and_help_all_explains_them(capsys):
    parser = CommandParser("test", "A test.")
    add_options(parser, Recipe())
    text = parser.format_help()
    assert "hiding     --hiding.num-segments .p .fill\n" in text
    assert "equal parts of a video" not in text


def test_options_and_yaml_reach_the_recipe(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        "hiding: {num_segments: 7}\ntraining: {schedule: steps, steps: {3: 0.1, 5: 0.01}}\nthreshold: 0.3\n"
    )
    recipe = parse(
        "--config", str(config), "--network.bias", "false", "--hiding.p", "0.25", "--threshold-mode", "minmax"
    )
    assert recipe.hiding == HidingConfig(7, 0.25)
    assert recipe.training.steps == {3: 0.1, 5: 0.01}
    assert recipe.network.bias is False
    assert (recipe.rule.threshold, recipe.rule.mode) == (0.3, "minmax")


def test_options_of_images_reach_their_recipe():
    recipe = parse(
        "--hiding.sizes", "[8,16]", "--threshold", "0.4", "--threshold-mode", "minmax", defaults=ImageRecipe()
    )
    assert recipe.hiding.sizes == (8, 16)
    assert recipe.rule == BoxRule(0.4, "minmax")
    recipe = parse("--jitter.crop", "64", "--network.skips", "1", defaults=SegmentationRecipe())
    assert (recipe.jitter.crop, recipe.network.skips) == (64, 1)


@pytest.mark.parametrize("wrong", [
    lambda: Recipe(rule=IntervalRule(threshold=1.5)), lambda: Recipe(min_class_score=-0.1),
    lambda: ImageRecipe(rule=BoxRule(mode="min")),
])  # fmt: skip
def test_a_recipe_refuses_what_its_options_refuse(wrong):
    with pytest.raises(UsageError):
        wrong()


@pytest.mark.parametrize(("arguments", "message"), [
    (["--min-class-score", "1.5"], "min_class_score"),
    (["--merge-gap", "-1"], "merge gap"),
    (["--training.epochs", "0"], "epochs"),
    (["--network.topk-divisor", "0"], "positive sizes"),
])  # fmt: skip
def test_values_out_of_range(arguments, message):
    with pytest.raises(UsageError, match=message):
        parse(*arguments)


@pytest.mark.parametrize(("words", "accepted"), [
    (["--threshold-mode", "middle"], "'max', 'minmax'"), (["--hiding.fill", "middle"], "'mean', 'zero', 'noise'"),
    (["--config", "hiding: {fill: middle}"], "mean"), (["--config", "threshold_mode: middle"], "minmax"),
])  # fmt: skip
def test_a_word_that_is_no_choice_is_refused_with_those_that_are(words, accepted, capsys):
    with pytest.raises(SystemExit):
        parse(*words)
    error = capsys.readouterr().err
    assert "middle" in error
    assert accepted in error
    assert "Literal" not in error


def test_settings_need_no_torch():
    code = (
        "import hasvideo.train, hasvideo.train_thumos, sys; hasvideo.train._parser(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
