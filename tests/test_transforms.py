import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from hasvideo.transforms import HidePatches


def test_images_are_hidden_and_all_else_passes_through():
    image = tv_tensors.Image(torch.full((3, 40, 60), 200, dtype=torch.uint8))
    boxes = tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(40, 60))
    mask = tv_tensors.Mask(torch.ones(40, 60))
    torch.manual_seed(0)
    sample = HidePatches((8,), fill=(10.0, 20.0, 30.0))({"image": image, "boxes": boxes, "mask": mask, "label": 3})
    hidden = sample["image"]
    assert isinstance(hidden, tv_tensors.Image)
    assert [set(channel.unique().tolist()) for channel in hidden] == [{10, 200}, {20, 200}, {30, 200}]
    assert torch.equal(sample["boxes"], boxes)
    assert torch.equal(sample["mask"], mask)
    assert sample["label"] == 3
    assert (image == 200).all()


def test_a_seed_fixes_what_is_hidden_in_a_pipeline():
    pipeline, picture = v2.Compose([v2.ToImage(), HidePatches((4,))]), Image.new("RGB", (32, 32), "white")
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(pipeline(picture))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_pil_images_are_refused_not_passed_unhidden():
    with pytest.raises(TypeError, match="ToImage"):
        HidePatches()(Image.new("RGB", (32, 32)))
