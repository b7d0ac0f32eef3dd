import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from hasvideo.hiding import PatchHiding, SegmentHiding, hide, length_mask

FILL = torch.tensor([-1.0, -2.0, -3.0])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def cells_of(hidden, cell):
    """Every cell of a mask (H, W), border cells cut."""
    height, width = hidden.shape
    for y, x in itertools.product(range(0, height, cell), range(0, width, cell)):
        yield hidden[y : y + cell, x : x + cell]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.floats(0, 1), st.integers(0, 99)
)
def test_only_whole_cells_take_the_fill(batch, height, width, cell, p, seed):
    x = torch.rand(batch, 3, height, width)
    hidden = hide(x, cell, p, FILL, seeded(seed))
    is_fill, is_input = hidden == FILL[:, None, None], hidden == x
    assert (is_fill ^ is_input).all()
    assert (is_fill == is_fill[:, :1]).all()  # all channels alike
    for sample in is_fill[:, 0]:
        assert all(c.all() or not c.any() for c in cells_of(sample, cell))


def test_share_of_hidden_cells_is_p_and_samples_differ():
    hidden = hide(torch.ones(50, 1, 64, 64), 4, 0.3, generator=seeded())[:, 0] == 0
    assert hidden.float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert len({sample.numpy().tobytes() for sample in hidden}) == 50


def test_cut_cells_at_the_border_are_hidden_as_often_as_others():
    hidden = hide(torch.ones(2000, 1, 10, 10), 4, 0.5, generator=seeded())[:, 0] == 0
    for corner in (hidden[:, 0, 0], hidden[:, 9, 9], hidden[:, 9, 0], hidden[:, 0, 9]):
        assert corner.float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_callers_tensor_is_only_written_when_asked():
    x = torch.ones(2, 3, 8, 8)
    out = hide(x, 2, 0.9, FILL, seeded())
    assert (x == 1).all()
    assert hide(x, 2, 0.9, FILL, seeded(), inplace=True) is x
    assert torch.equal(x, out)


def test_p_zero_and_one():
    x = torch.rand(2, 3, 9, 9)
    assert torch.equal(hide(x, 4, 0, FILL), x)
    assert (hide(x, 4, 1, FILL) == FILL[:, None, None]).all()


@pytest.mark.parametrize("shape", [(2, 3, 17), (2, 3, 17, 9), (2, 3, 5, 9, 7)])
def test_any_number_of_dimensions(shape):
    cell = (4, 3, 2)[: len(shape) - 2]
    x = torch.rand(shape)
    hidden = hide(x, cell, 0.5, FILL, seeded()) != x
    grid = [-(-size // c) for size, c in zip(shape[2:], cell, strict=True)]
    expected = torch.rand(2, *grid, generator=seeded()) < 0.5
    for dim, (size, c) in enumerate(zip(shape[2:], cell, strict=True), start=1):
        expected = expected.repeat_interleave(c, dim).narrow(dim, 0, size)
    assert torch.equal(hidden, expected[:, None].expand(shape))


DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.int64, torch.float8_e4m3fn]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype):
    x = (torch.rand(2, 3, 7, 9) * 200).to(dtype)
    fill = torch.tensor([123.7, 2.0, 3.0])
    out = hide(x, 4, 0.5, fill, seeded())
    assert out.dtype == dtype
    rounded = fill if dtype.is_floating_point else fill.round()
    value, out, x = rounded.to(dtype).double()[:, None, None], out.double(), x.double()
    assert ((out == value) | (out == x)).all()
    assert (out == value).any()
    assert (out == x).any()


@pytest.mark.parametrize("module", [PatchHiding((0, 3, 4), 0.5, FILL), PatchHiding((5,), 0.5, FILL)])
def test_layouts_and_gradients_hide_the_same_cells(module):
    x = torch.rand(3, 3, 14, 11)
    expected = module(x, seeded())
    variants = {
        "channels last": x.to(memory_format=torch.channels_last),
        "transposed": x.transpose(2, 3).contiguous().transpose(2, 3),
        "every second column": x.repeat_interleave(2, 3)[..., ::2],
        "gradient": x.clone().requires_grad_(),
    }
    for name, variant in variants.items():
        assert torch.equal(module(variant, seeded()), expected), name


def test_hidden_cells_pass_no_gradient():
    x = torch.rand(1, 3, 8, 8, requires_grad=True)
    out = hide(x, 4, 0.5, FILL, seeded())
    out.sum().backward()
    assert torch.equal(x.grad, (out == x).float())


def test_a_broadcast_batch_is_not_written_through():
    x = torch.rand(1, 3, 8, 8).expand(4, 3, 8, 8)
    assert len({s.numpy().tobytes() for s in hide(x, 2, 0.5, FILL, seeded())}) == 4
    with pytest.raises(RuntimeError, match="single memory location"):
        hide(x, 2, 0.5, FILL, inplace=True)


def test_noise_has_the_channels_mean_and_deviation():
    x = torch.full((64, 3, 32, 32), 100.0)
    out = hide(x, 8, 0.5, FILL, seeded(), noise=[0.1, 1.0, 2.0])
    for channel, (mean, std) in enumerate([(-1, 0.1), (-2, 1), (-3, 2)]):
        noise = out[:, channel][out[:, channel] != 100]
        assert noise.mean().item() == pytest.approx(mean, abs=0.05)
        assert noise.std().item() == pytest.approx(std, rel=0.05)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"cell": 0}, "2 sizes >= 1"),
    ({"cell": (4,)}, r"2 sizes >= 1 for a batch of shape \(1, 3, 8, 8\), got \(4,\)"),
    ({"cell": 4, "p": 1.5}, "probability.*1.5"),
    ({"cell": 4, "fill": (1.0, 2.0)}, r"one a channel \(3\), got 2"),
])  # fmt: skip
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        hide(torch.zeros(1, 3, 8, 8), **arguments)


@pytest.mark.parametrize("build", [lambda: PatchHiding(()), lambda: PatchHiding((-1,)), lambda: PatchHiding(p=2),
                                   lambda: SegmentHiding(0), lambda: SegmentHiding(p=-0.1)])  # fmt: skip
def test_bad_modules(build):
    with pytest.raises(ValueError, match="must be"):
        build()


def test_patch_hiding_mixes_sizes():
    sizes = (0, 16, 32, 44, 56)
    hidden = (PatchHiding(sizes)(torch.ones(400, 1, 120, 90), seeded()) == 0)[:, 0]
    whole = {
        s: {i for i, h in enumerate(hidden) if all(c.all() or not c.any() for c in cells_of(h, s))} for s in sizes[1:]
    }
    shown = {i for i, h in enumerate(hidden) if not h.any()}
    assert set.union(*whole.values()) == set(range(400))
    assert len(shown) == pytest.approx(80, abs=25)
    for size in (32, 44, 56):
        assert len(whole[size] - shown) == pytest.approx(80, abs=30)


def test_patch_hiding_only_while_training():
    images = torch.ones(2, 3, 64, 64)
    module = PatchHiding((16,))
    assert (module(images) == 0).any()
    assert module.eval()(images) is images


def test_patch_hiding_takes_a_single_image():
    image = torch.ones(3, 50, 70)
    hidden = PatchHiding((16,))(image, seeded())
    assert hidden.shape == image.shape
    assert (hidden == 0).any()


def test_size_zero_alone_hides_nothing():
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(PatchHiding((0,))(images), images)


class Images(Dataset):
    def __init__(self):
        self.hiding = PatchHiding((4,))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.hiding(torch.ones(3, 64, 64))


def test_in_loader_workers_a_seed_fixes_what_is_hidden():
    def run(seed):
        return torch.cat(list(DataLoader(Images(), num_workers=2, generator=seeded(seed))))

    first = run(1)
    assert torch.equal(first, run(1))
    assert not torch.equal(first, run(2))
    assert len({image.numpy().tobytes() for image in first}) == 4


def segments_of(hidden, length, count):
    """The hidden flags (T,) of each of the segments that features fall into by their index."""
    numbers = np.arange(length) * count // length
    return [hidden[:length][numbers == n] for n in np.unique(numbers)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=4), st.integers(1, 25), st.integers(0, 99))
def test_segments_follow_each_videos_true_length(lengths, count, seed):
    features = torch.rand(len(lengths), max(lengths), 3)
    out = SegmentHiding(count, 0.5, FILL)(features, torch.tensor(lengths), seeded(seed))
    for sample, original, length in zip(out, features, lengths, strict=True):
        hidden = (sample == FILL).all(dim=1).numpy()
        assert torch.equal(sample[~hidden], original[~hidden])
        assert not hidden[length:].any()
        segments = segments_of(hidden, length, count)
        assert all(s.all() or not s.any() for s in segments)
        assert len(segments) == min(count, length)
        assert max(map(len, segments)) - min(map(len, segments)) <= 1


def test_segment_hiding_share_and_mode():
    module, features = SegmentHiding(20, 0.25), torch.ones(500, 40, 2)
    assert (module(features, generator=seeded()) == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert (features == 1).all()
    assert module.eval()(features) is features


def test_segment_hiding_in_place_and_with_gradient_agree():
    lengths, x = torch.tensor([9, 5]), torch.rand(2, 9, 3)
    module, inplace = SegmentHiding(4, 0.5, FILL), SegmentHiding(4, 0.5, FILL, inplace=True)
    expected = module(x, lengths, seeded())
    assert torch.equal(module(x.clone().requires_grad_(), lengths, seeded()), expected)
    copy = x.clone()
    assert inplace(copy, lengths, seeded()) is copy
    assert torch.equal(copy, expected)


def test_segment_hiding_keeps_half_precision():
    out = SegmentHiding(4, 0.5, 7.0)(torch.ones(2, 8, 3, dtype=torch.float16), generator=seeded())
    assert out.dtype == torch.float16
    assert set(out.unique().tolist()) == {1.0, 7.0}


def test_segment_noise():
    out = SegmentHiding(20, 0.5, 5.0, noise=1.0)(torch.full((20, 100, 30), 1e3), generator=seeded())
    noise = out[out != 1e3]
    assert noise.mean().item() == pytest.approx(5, abs=0.05)
    assert noise.std().item() == pytest.approx(1, abs=0.05)


def test_fill_moves_with_the_module_and_is_no_state():
    module = SegmentHiding(4, fill=FILL)
    assert module.to("meta").fill.device.type == "meta"
    assert not module.state_dict()


@pytest.mark.parametrize("module", [PatchHiding((0, 3, 4), 0.5, FILL), SegmentHiding(4, 0.5, FILL, noise=0.1)])
def test_compiles_as_one_graph(module):
    x = torch.rand(4, 3, 9, 9) if isinstance(module, PatchHiding) else torch.rand(4, 9, 3)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    torch.manual_seed(0)
    expected = module(x)
    torch.manual_seed(0)
    torch.testing.assert_close(compiled(x), expected)


def test_length_mask():
    assert length_mask(torch.tensor([2, 0]), 3).tolist() == [[True, True, False], [False] * 3]
