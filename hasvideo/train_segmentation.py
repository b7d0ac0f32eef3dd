"""Train and test semantic segmentation on the encoder of an image localizer, which was trained with or without hiding.

``python -m hasvideo.train_segmentation --config configs/segmentation/fcn_alexnet_has.yaml --backbone model.ckpt``; any
data set in the layout of PASCAL VOC will do.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hasvideo.commands import CallableModule, CommandParser, pick_arguments, run
from hasvideo.device import resolve_device
from hasvideo.errors import UsageError
from hasvideo.report import add_run_options, cell, is_main_process, over_seeds, run_experiment, with_seeds, write_report
from hasvideo.segmentation.recipe import WHY, SegmentationRecipe
from hasvideo.settings import add_options, from_options

if TYPE_CHECKING:
    from hasvideo.datasets.segmentation import SegmentedImages
    from hasvideo.segmentation.model import SegmentationModel

TITLES = {
    "pixel_accuracy": "pixel acc.",
    "mean_accuracy": "mean acc.",
    "mean_iu": "mean IU",
    "fw_iu": "f.w. IU",
}


def train_segmentation(
    data: str | Path,
    output: str | Path,
    recipe: SegmentationRecipe | None = None,
    *,
    backbone: str | Path | None = None,
    seeds: int = 1,
    train_list: str = "train",
    test_list: str = "val",
    extra_list: str | None = None,
    extra_masks: str = "SegmentationClassAug",
    pictures: int = 8,
    in_memory: bool = False,
    resume: bool = False,
    tensorboard: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Train on the masks of one list of images and test on another.

    Args:
        data: folder in the layout of PASCAL VOC, such as ``VOCdevkit/VOC2012``.
        output: folder for checkpoints, predictions, pictures, metrics and tables of every seed.
        recipe: network, jitter, optimizer; those of FCN-AlexNet by default.
        backbone: checkpoint of an image localizer whose convolutions the encoder starts from; None starts from scratch.
        seeds: how many runs, with the recipe's seed and the following ones.
        train_list: name of the list of images to train on, or path of a text file.
        test_list: name of the list of images to test on, or path of a text file.
        extra_list: path of a text file with more images to train on, as SBD's; those that are tested on are left out.
        extra_masks: folder of the masks of ``extra_list``.
        pictures: how many of the tested images are drawn with their classes, spread over the list.
        in_memory: hold all images and masks in memory.
        resume: go on from what the output folder holds.
        tensorboard: also write TensorBoard event files.
        device: see :func:`hasvideo.device.resolve_device`.

    Returns:
        ``metrics``: pixel accuracy, mean accuracy, mean IU and frequency-weighted IU, each as ``mean``, ``std`` over
        seeds and ``seeds``, in percent; ``iu``: likewise by class; ``absent``: classes that the tested masks lack,
        which are in no mean; ``start``: which layers were loaded; ``seeds`` and ``images``: how many; ``recipe``.

    Raises:
        UsageError: a wrong option, no data in the layout, or a backbone that does not fit the network.
        HasvideoError: files are missing or damaged, masks do not fit their images, or training fails.
    """
    if pictures < 0:
        raise UsageError(f"pictures must be at least 0, got {pictures}")
    from hasvideo.checkpoint import save
    from hasvideo.datasets.segmentation import SegmentedImages, find_pairs, read_classes, training_pairs
    from hasvideo.metrics.segmentation import score_segmentation
    from hasvideo.segmentation.fitting import fit, start

    recipe, output, device = recipe or SegmentationRecipe(), Path(output), resolve_device(device)
    recipes = with_seeds(recipe, seeds)
    classes = read_classes(data)
    testing = find_pairs(data, test_list)
    training = training_pairs(data, train_list, testing, extra_list, extra_masks)
    _, origin = start(recipe.network, backbone)
    if is_main_process():
        print(f"{len(classes)} classes, {len(training)} images to train on, {len(testing)} to test on; {origin}",
              file=sys.stderr)  # fmt: skip
    trained, tested = (SegmentedImages(pairs, len(classes), in_memory) for pairs in (training, testing))

    def test(model: SegmentationModel, folder: Path) -> dict[str, Any]:
        model.network.to(device)
        if is_main_process():
            save(model, folder / "model.ckpt")
        return score_segmentation(_confusion(model, tested, folder, pictures).sum(axis=0), classes)

    train = partial(fit, trained, classes, backbone=backbone)
    scores = run_experiment(recipes, output, train, test, resume=resume, tensorboard=tensorboard, device=device)
    report = summarise(scores) | {"images": len(tested), "start": origin, "recipe": asdict(recipe)}
    write_report(report, render(report), output)
    return report


def summarise(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarise metrics over seeds.

    Args:
        scores: one a seed, as :func:`hasvideo.metrics.segmentation.score_segmentation` gives them.

    Returns:
        See :func:`train_segmentation`.
    """
    return {
        "seeds": len(scores),
        "metrics": {name: over_seeds([s[name] for s in scores]) for name in TITLES},
        "iu": {name: over_seeds([s["classes"][name]["iu"] for s in scores]) for name in scores[0]["classes"]},
        "absent": scores[0]["absent"],
    }


def render(report: Mapping[str, Any]) -> str:
    """Render the report as plain text.

    Args:
        report: what :func:`train_segmentation` returns.
    """
    from hasvideo.output.tables import aligned

    rows = [[*TITLES.values()], [cell(report["metrics"][name]) for name in TITLES]]
    by_class = [["class", "IU"], *([name, cell(value)] for name, value in report["iu"].items())]
    absent = f"not in the tested masks and in no mean: {', '.join(report['absent'])}\n" if report["absent"] else ""
    return (
        f"percent of the pixels of {report['images']} images, mean ± standard deviation over {report['seeds']} seeds\n"
        f"{report['start']}\n{aligned(rows, [])}\n\n{aligned(by_class, ['class'])}\n{absent}"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(argv)
    recipe = from_options(options, SegmentationRecipe)
    report = train_segmentation(recipe=recipe, **pick_arguments(options, train_segmentation))
    if is_main_process():
        sys.stdout.write(render(report))


def load_recipe(config: str | Path) -> SegmentationRecipe:
    """Read the recipe from a YAML file of this command and those that it extends.

    Args:
        config: the file, also one that comes with the package: see :func:`hasvideo.commands.find_config`.

    Raises:
        UsageError: there is no such file, or a setting is out of its range.
        SystemExit: the file is not YAML, or has a setting that there is not; standard error says which.
    """
    options = _parser().parse_args(["--config", str(config), "--data", "", "--output", ""])
    return from_options(options, SegmentationRecipe)


def _parser() -> CommandParser:
    parser = CommandParser(
        "train_segmentation",
        "Train and test segmentation, from a classifier or from scratch.",
        examples=[
            "hasvideo train_segmentation --config configs/segmentation/fcn_alexnet_has.yaml \\\n"
            "      --data VOCdevkit/VOC2012 --backbone runs/has/seed-0/model.ckpt -o runs/fcn_has",
        ],
    )
    add = parser.add_argument_group("data").add_argument
    add("--data", required=True, metavar="FOLDER", help="such as VOCdevkit/VOC2012 (docs/formats.md)")
    add("--train-list", default="train", metavar="LIST", help="name of the training images' list, or a text file")
    add("--test-list", default="val", metavar="LIST", help="name of the tested images' list, or a text file")
    add(
        "--extra-list",
        type=str | None,
        default=None,
        metavar="FILE",
        help="text file with more images to train on, as SBD's",
    )
    add("--extra-masks", default="SegmentationClassAug", metavar="FOLDER",
        help="with --extra-list: its images' masks, PNG or SBD's .mat")  # fmt: skip
    add("--in-memory", type=bool, default=False, help="hold all images and masks in memory")
    add = add_run_options(parser, "checkpoints, predictions, pictures, metrics and tables")
    add("--backbone", type=str | None, default=None, metavar="FILE",
        help="checkpoint of train_imagenet to start the encoder from [random weights]")  # fmt: skip
    add("--pictures", type=int, default=8, help="draw so many of the tested images with their classes")
    add_options(parser, SegmentationRecipe(), WHY, skip=["smoothness"])
    return parser


def _confusion(model: SegmentationModel, samples: SegmentedImages, folder: Path, pictures: int) -> np.ndarray:
    """Count a confusion matrix for each image, ``(N, C, C)``; write predictions and pictures to the folder."""
    from hasvideo.metrics.segmentation import confusion_matrix
    from hasvideo.output.segments import plot_segments, write_mask
    from hasvideo.segmentation.fitting import predict
    from hasvideo.types import ImageInfo, Segmentation

    drawn = set(np.linspace(0, len(samples) - 1, min(pictures, len(samples))).round().astype(int).tolist())
    confusion = []
    for index, (image, labels, truth) in enumerate(predict(model, samples)):
        confusion.append(confusion_matrix(truth, labels, len(model.classes)))
        if not is_main_process():
            continue
        write_mask(labels, folder / "predictions" / f"{image}.png")
        if index in drawn:
            info = ImageInfo(samples.pairs[index].image, labels.shape[1], labels.shape[0])
            found = Segmentation(image, info, model.classes, labels, model.name, truth=truth)
            plot_segments(found, folder / "pictures" / f"{image}.png")
    return np.stack(confusion)


sys.modules[__name__].__class__ = CallableModule

if __name__ == "__main__":
    run(main)
