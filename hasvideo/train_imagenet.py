"""Train and test on ImageNet: ``python -m hasvideo.train_imagenet --config configs/imagenet/alexnet_has_mix.yaml``.

Any data set in the ILSVRC layout will do. Training sees which class an image shows, never where.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hasvideo.commands import CallableModule, CommandParser, pick_arguments, run
from hasvideo.device import resolve_device
from hasvideo.files import write_text
from hasvideo.image.recipe import WHY, ImageRecipe
from hasvideo.metrics.contours import NEEDS_OPENCV, has_opencv
from hasvideo.metrics.localization import TITLES, Measure
from hasvideo.report import add_run_options, cell, is_main_process, over_seeds, run_experiment, with_seeds, write_report
from hasvideo.settings import add_options, from_options

if TYPE_CHECKING:
    from hasvideo.datasets.imagenet import Ilsvrc, LabelledImages
    from hasvideo.image.model import ImageModel
    from hasvideo.image.testing import ImageTest

_ORDER: tuple[Measure, ...] = ("gt_known", "top1_loc", "top5_loc", "top1_class", "top5_class")
MEASURES = {name: TITLES[name] for name in _ORDER} | {"max_box_acc": "MaxBoxAccV2"}


def train_imagenet(
    data: str | Path,
    output: str | Path,
    recipe: ImageRecipe | None = None,
    *,
    seeds: int = 1,
    in_memory: bool = False,
    check_images: bool = True,
    pretrained: bool = False,
    resume: bool = False,
    tensorboard: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Train on the classes of the training images and test on the boxes of the validation images.

    Args:
        data: folder in the ILSVRC layout.
        output: folder for checkpoints, boxes, metrics and tables of every seed, and a list of the images left out.
        recipe: network, hiding, optimizer; the paper's AlexNet with patches of mixed sizes by default.
        seeds: how many runs, with the recipe's seed and the following ones.
        in_memory: hold all images in memory, at the size of ``recipe.network.resize``.
        check_images: decode every image once before training; those that cannot be are left out. With ``in_memory``
            that happens anyway.
        pretrained: start from torchvision's ImageNet weights where layers are the same.
        resume: go on from what the output folder holds.
        tensorboard: also write TensorBoard event files.
        device: see :func:`hasvideo.device.resolve_device`.

    Returns:
        ``methods``: for the model and the baselines that look at nothing each accuracy as ``mean``, ``std`` over seeds
        and ``seeds``, in percent, or None (``max_box_acc`` without OpenCV); ``failures``: kinds of misses, in percent
        of the misses; ``seeds`` and ``images``: how many; ``recipe``.

    Raises:
        UsageError: a wrong option, or no data in the layout.
        HasvideoError: classes and files do not fit together, pretrained weights cannot be had, or training fails.
    """
    from hasvideo.checkpoint import save
    from hasvideo.datasets.imagenet import load_ilsvrc, readable_names
    from hasvideo.image.fitting import fit
    from hasvideo.image.testing import run_test
    from hasvideo.networks.pretrained import load_pretrained
    from hasvideo.output.images import write_image_results

    recipe, output, device = recipe or ImageRecipe(), Path(output), resolve_device(device)
    recipes = with_seeds(recipe, seeds)
    found = load_ilsvrc(data)
    trained, tested = _read(found, recipe.network.resize, in_memory, check_images, output)

    def test(model: ImageModel, folder: Path) -> ImageTest:
        model.network.to(device)
        result = run_test(model, tested, found.truth)
        if is_main_process():
            save(replace(model, classes=readable_names(found.classes)), folder / "model.ckpt")
            write_image_results(result.detections(), folder / "boxes.json")
        return result

    train = partial(fit, trained, list(found.classes), prepare=load_pretrained if pretrained else None)
    tests = run_experiment(recipes, output, train, test, resume=resume, tensorboard=tensorboard, device=device)
    report = summarise(tests) | {"recipe": asdict(recipe)}
    write_report(report, render(report), output)
    return report


def _read(
    found: Ilsvrc, size: int, in_memory: bool, check: bool, output: Path
) -> tuple[LabelledImages, LabelledImages]:
    """Read the training and validation images, and list those that cannot be read in ``problems.txt``."""
    from hasvideo.datasets.imagenet import LabelledImages, find_unreadable

    problems = list(found.problems)
    training, validation = found.train, [(path, found.truth[image].label) for image, path in found.val.items()]
    if check and not in_memory:
        broken = find_unreadable([path for path, _ in (*training, *validation)], progress=is_main_process())
        problems += list(broken.values())
        training, validation = ([item for item in files if item[0] not in broken] for files in (training, validation))
    train, val = (LabelledImages(files, found.classes, size, in_memory, problems) for files in (training, validation))
    if is_main_process():
        print(found.counts(), file=sys.stderr)
        if problems:
            path = output / "problems.txt"
            write_text(path, "\n".join(problems) + "\n")
            warnings.warn(f"{len(problems)} images are left out, see {path}; the first: {problems[0]}", stacklevel=3)
    return train, val


def summarise(tests: Sequence[ImageTest]) -> dict[str, Any]:
    """Summarise accuracies over seeds, beside those of the baselines, and kinds of misses.

    Args:
        tests: one a seed, of the same images.

    Returns:
        See :func:`train_imagenet`.
    """
    from hasvideo.metrics.localization import score_baselines

    truth, sizes = tests[0].true_boxes, tests[0].sizes
    blind = score_baselines(truth, sizes)
    methods = {name: {"gt_known": over_seeds([share])} for name, share in blind.items()}
    rows = [test.scores.summary() | {"max_box_acc": test.max_box.mean if has_opencv() else None} for test in tests]
    methods["model"] = {name: over_seeds([row[name] for row in rows]) for name in MEASURES}
    shares = [test.failures.shares() for test in tests]
    failures = {kind: over_seeds([share[kind] for share in shares]) for kind in shares[0]}
    return {"seeds": len(tests), "images": len(truth), "methods": methods, "failures": failures}


def render(report: Mapping[str, Any]) -> str:
    """Render the report as plain text.

    Args:
        report: what :func:`train_imagenet` returns.
    """
    from hasvideo.output.tables import aligned

    rows = [["", *MEASURES.values()]]
    for method, values in report["methods"].items():
        rows.append([method, *(cell(values[name]) if name in values else "" for name in MEASURES)])
    misses = ", ".join(f"{kind} {cell(value)}" for kind, value in report["failures"].items())
    hint = f"{NEEDS_OPENCV}\n" if report["methods"]["model"]["max_box_acc"] is None else ""
    return (
        f"percent of {report['images']} images, mean ± standard deviation over {report['seeds']} seeds\n"
        f"{aligned(rows, [''])}\n{hint}\nmisses of GT-known Loc, in percent of the misses: {misses}\n"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(argv)
    report = train_imagenet(recipe=from_options(options, ImageRecipe), **pick_arguments(options, train_imagenet))
    if is_main_process():
        sys.stdout.write(render(report))


def load_recipe(config: str | Path) -> ImageRecipe:
    """Read the recipe from a YAML file of this command and those that it extends.

    Args:
        config: the file, also one that comes with the package: see :func:`hasvideo.commands.find_config`.

    Raises:
        UsageError: there is no such file, or a setting is out of its range.
        SystemExit: the file is not YAML, or has a setting that there is not; standard error says which.
    """
    options = _parser().parse_args(["--config", str(config), "--data", "", "--output", ""])
    return from_options(options, ImageRecipe)


def _parser() -> CommandParser:
    parser = CommandParser("train_imagenet", "Train and test on ImageNet, from image-level labels alone.", examples=[
        "hasvideo train_imagenet --config configs/imagenet/alexnet_has_mix.yaml --data ILSVRC2012 -o runs/has",
        "hasvideo train_imagenet --config configs/imagenet/alexnet_gap.yaml --data ILSVRC2012 -o runs/gap",
    ])  # fmt: skip
    add = parser.add_argument_group("data").add_argument
    add("--data", required=True, metavar="FOLDER", help="with LOC_synset_mapping.txt and ILSVRC/ (docs/formats.md)")
    add("--in-memory", type=bool, default=False, help="hold all images in memory (at the size of network.resize)")
    add("--check-images", type=bool, default=True, help="decode all images before training and leave broken ones out")
    add = add_run_options(parser, "checkpoints, boxes, metrics and tables")
    add("--pretrained", type=bool, default=False, help="start from torchvision's ImageNet weights where layers agree")
    add_options(parser, ImageRecipe(), WHY, skip=["smoothness"])
    return parser


sys.modules[__name__].__class__ = CallableModule

if __name__ == "__main__":
    run(main)
