"""Train and test semantic segmentation on the encoder of an image localizer, which was trained with or without hiding.

``python -m hasvideo.train_segmentation --config configs/segmentation/fcn_alexnet_has.yaml --backbone model.ckpt``; any
data set in the layout of PASCAL VOC will do.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hasvideo.commands import CallableModule, CommandParser, run
from hasvideo.device import resolve_device
from hasvideo.errors import UsageError
from hasvideo.files import write_text
from hasvideo.report import RUN_OPTIONS, add_run_options, cell, each_seed, is_main_process, over_seeds, plot_history
from hasvideo.segmentation.recipe import SegmentationRecipe, add_options, from_options

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
        train_list, test_list: names of lists, or paths of text files.
        extra_list, extra_masks: path of a further list, as SBD's, and folder of its masks; images that are tested on
            are left out of it.
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
    if seeds < 1 or pictures < 0:
        raise UsageError(f"seeds must be at least 1 and pictures at least 0, got {seeds} and {pictures}")
    from hasvideo.checkpoint import save
    from hasvideo.datasets.segmentation import SegmentedImages, find_pairs, read_classes, training_pairs
    from hasvideo.metrics.segmentation import score_segmentation
    from hasvideo.segmentation.fitting import fit, start

    recipe, output, device = recipe or SegmentationRecipe(), Path(output), resolve_device(device)
    classes = read_classes(data)
    tested = find_pairs(data, test_list)
    trained = training_pairs(data, train_list, tested, extra_list, extra_masks)
    _, origin = start(recipe.network, backbone)
    if is_main_process():
        print(f"{len(classes)} classes, {len(trained)} images to train on, {len(tested)} to test on; {origin}",
              file=sys.stderr)  # fmt: skip
    train, test = (SegmentedImages(pairs, len(classes), in_memory) for pairs in (trained, tested))
    options: dict[str, Any] = {"backbone": backbone, "resume": resume, "tensorboard": tensorboard, "device": device}
    scores = []
    for seed, seeded in each_seed(recipe, seeds):
        folder = output / f"seed-{seed}"
        model, history = fit(train, classes, seeded, name=str(folder / "model.ckpt"), folder=folder, **options)
        plot_history(history, folder)
        model.network.to(device)
        if is_main_process():
            save(model, folder / "model.ckpt")
        scores.append(score_segmentation(_test(model, test, folder, pictures).sum(axis=0), classes))
    report = summarise(scores) | {"images": len(test), "start": origin, "recipe": asdict(recipe)}
    if is_main_process():
        write_text(output / "results.json", json.dumps(report, indent=1) + "\n")
        write_text(output / "results.txt", render(report))
    return report


def summarise(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Metrics over seeds.

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
    """The report as plain text."""
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
    names = ("backbone", "train_list", "test_list", "extra_list", "extra_masks", "pictures", "in_memory")
    chosen = {name: options[name] for name in (*RUN_OPTIONS, *names)}
    report = train_segmentation(options.data, options.output, from_options(options), **chosen)
    if is_main_process():
        sys.stdout.write(render(report))


def load_recipe(config: str | Path) -> SegmentationRecipe:
    """The recipe that a YAML file of this command, with those that it extends, describes.

    Args:
        config: the file, also one that comes with the package: see :func:`hasvideo.commands.find_config`.

    Raises:
        UsageError: there is no such file, or a setting is out of its range.
        SystemExit: the file is not YAML, or has a setting that there is not; standard error says which.
    """
    return from_options(_parser().parse_args(["--config", str(config), "--data", "", "--output", ""]))


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
    add_options(parser, SegmentationRecipe())
    return parser


def _test(model: SegmentationModel, samples: SegmentedImages, folder: Path, pictures: int) -> np.ndarray:
    """A confusion matrix for each image, ``(N, C, C)``; predictions and pictures go to the folder."""
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
