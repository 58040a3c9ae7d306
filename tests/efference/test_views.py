"""Pixels of views against interpolation row by row and against torchvision, image by image."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ks_2samp, kstest
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as one

from plastorch.efference.actions import ImageActions
from plastorch.efference.colors import blurred, grayed, hue_shifted, jittered, solarized
from plastorch.efference.copies import egocentric
from plastorch.efference.views import CIFAR, IMAGENET, STL10, ImageViews, resampled
from plastorch.engine.errors import InputError

ALL = ImageViews(24, jitter=1.0, blur=0.5, solarize=0.5)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Noise, and some images of a single color, black and white among them."""
    images = torch.randint(0, 256, (count, 3, height, width), generator=random(seed))
    images[0], images[1] = 0, 255
    images[2] = torch.tensor([200, 30, 30])[:, None, None]
    return images.to(torch.uint8)


def crops(actions: ImageActions) -> ImageActions:
    """The same boxes and flips, without any change of color."""
    one, none, no = (
        torch.ones_like(actions.hue),
        torch.zeros_like(actions.hue),
        torch.zeros_like(actions.flip),
    )
    return actions._replace(
        brightness=one, contrast=one, saturation=one, hue=none, gray=no, blur=none, solarized=no
    )


def by_rows_and_columns(image: np.ndarray, actions: ImageActions, i: int, size: int) -> np.ndarray:
    """A crop by linear interpolation along columns and then rows [3, size, size]."""
    top, left, height, width = (float(v[i]) for v in actions[:4])
    share = (np.arange(size) + 0.5) / size
    places = [(left + width * share, image.shape[2]), (top + height * share, image.shape[1])]
    across, down = (share * length - 0.5 for share, length in places)
    if actions.flip[i]:
        across = across[::-1]
    interp = np.interp
    wide = np.stack([[interp(across, np.arange(len(r)), r) for r in plane] for plane in image])
    turned = wide.transpose(0, 2, 1)
    tall = np.stack([[interp(down, np.arange(len(r)), r) for r in plane] for plane in turned])
    return tall.transpose(0, 2, 1)


@pytest.mark.parametrize(("height", "width"), [(24, 24), (24, 17), (48, 30)])
def test_crops_are_linear_interpolation_where_nothing_shrinks(height: int, width: int) -> None:
    images = pictures(8, height, width)
    share = min(1.0, 24 / max(height, width))
    actions = crops(ALL.sample(8, random(1)))
    actions = actions._replace(height=actions.height * share, width=actions.width * share)
    view = ALL.apply(images, actions)
    for i, image in enumerate(images):
        expected = by_rows_and_columns(image.double().numpy() / 255, actions, i, 24)
        np.testing.assert_allclose(view[i], expected, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(60, 60), (31, 80)])
def test_shrinking_is_that_of_an_antialiased_resize(height: int, width: int) -> None:
    images = pictures(4, height, width)
    whole, none = torch.ones(4), torch.zeros(4)
    flip = torch.tensor([True, False, True, False])
    actions = crops(ALL.sample(4, random()))._replace(
        top=none, left=none, height=whole, width=whole, flip=flip
    )
    resized = F.interpolate(images.float() / 255, (24, 24), mode="bilinear", antialias=True)
    expected = torch.where(flip.view(-1, 1, 1, 1), resized.flip(3), resized)
    torch.testing.assert_close(ALL.apply(images, actions), expected, rtol=0, atol=1e-5)


def test_both_ways_to_resample_agree_where_nothing_shrinks() -> None:
    images = pictures(8, 24, 24).float()
    actions = ALL.sample(8, random(2))
    wider = F.pad(images, (0, 24, 0, 24))  # the image is a quarter now, and larger than a view
    quarter = actions._replace(**{k: getattr(actions, k) / 2 for k in actions._fields[:4]})
    quarter = quarter._replace(height=quarter.height * 0.9, width=quarter.width * 0.9)
    smaller = actions._replace(height=actions.height * 0.9, width=actions.width * 0.9)
    torch.testing.assert_close(
        resampled(wider, quarter, 24), resampled(images, smaller, 24), rtol=0, atol=1e-3
    )


def test_efference_copy_is_seen_in_the_pixels() -> None:
    """Of an image of its own coordinates, what maps view b to view a is Θ_a⁻¹ Θ_b."""
    down, across = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    images = torch.stack([across, down, down]).to(torch.uint8).expand(20, -1, -1, -1)
    views = ImageViews(256, scale=(0.2, 1.0))
    pair, poses = [crops(views.sample(20, random(seed))) for seed in (11, 12)], []
    for actions in pair:
        view = views.apply(images, actions) * 255
        middle = 2 * (view[:, :, 127:129, 127:129].mean(dim=(2, 3)) + 0.5) / 256 - 1
        slope = (
            view[:, :, 191, 191] - view[:, :, 64, 64]
        ) / 127  # half as many pixels as there are
        poses.append((slope[:, 0], slope[:, 1], middle[:, 0], -middle[:, 1]))
    (ax, ay, atx, aty), (bx, by, btx, bty) = poses
    found = [(bx / ax).abs().log(), (by / ay).log(), (ax * bx < 0).float()]
    found += [(btx - atx) / ax, (bty - aty) / ay]
    torch.testing.assert_close(egocentric(*pair), torch.stack(found, dim=1), rtol=0, atol=2e-3)


@pytest.mark.parametrize("views", [CIFAR, STL10, ALL, replace(STL10, size=40)])
def test_actions_reproduce_the_pixels_in_any_order(views: ImageViews) -> None:
    count = 20
    images = pictures(count, 48, 48)
    actions = views.sample(count, random(3))
    view = views.apply(images, actions)
    assert view.dtype == torch.float32 and view.shape == (count, 3, views.size, views.size)
    assert float(view.min()) >= 0 and float(view.max()) <= 1
    close = {"rtol": 0, "atol": 1e-5}
    torch.testing.assert_close(views.apply(images, actions), view, **close)
    order = torch.randperm(count, generator=random(4))
    torch.testing.assert_close(
        views.apply(images[order], actions.take(order)), view[order], **close
    )
    half = actions.gray
    torch.testing.assert_close(views.apply(images[half], actions.take(half)), view[half], **close)
    for i in range(0, count, 7):
        alone = views.apply(images[i : i + 1], actions.take(torch.tensor([i])))
        torch.testing.assert_close(alone, view[i : i + 1], **close)
    assert torch.equal(images, pictures(count, 48, 48))


@pytest.mark.parametrize(
    ("views", "height", "width"),
    [(ALL, 24, 24), (ALL, 24, 17), (ALL, 61, 80), (replace(ALL, size=40), 40, 33),
     (replace(STL10, size=61), 300, 61), (replace(CIFAR, jitter_probability=0.0), 32, 32),
     (replace(ALL, size=1), 5, 5)],
)  # fmt: skip
def test_one_pass_over_pixels_is_operations_on_tensors(
    views: ImageViews, height: int, width: int
) -> None:
    images, actions = pictures(12, height, width), views.sample(12, random(5))
    expected = views.by_tensors(images, actions)
    found = views.apply(images, actions)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    floats = views.apply(images.float() / 255, actions)
    torch.testing.assert_close(floats, found, rtol=0, atol=1e-5)
    torch.testing.assert_close(views.apply(images.mT.contiguous().mT, actions), found)


def test_gradients_of_images_pass_through_views() -> None:
    images = pictures(4, 24, 24).float().div(255).requires_grad_()
    actions = crops(ALL.sample(4, random(5)))
    brighter = torch.full((4,), 0.9, requires_grad=True)
    view = ALL.apply(images, actions._replace(brightness=brighter))
    view.sum().backward()  # type: ignore[no-untyped-call]
    for leaf in (images, brighter):
        assert leaf.grad is not None and float(leaf.grad.abs().max()) > 0
    actions = actions._replace(brightness=brighter.detach())
    torch.testing.assert_close(view.detach(), ALL.apply(images.detach(), actions))


def test_views_are_the_same_on_any_number_of_threads() -> None:
    images, actions = pictures(40, 48, 48), replace(ALL, size=48).sample(40, random(5))
    threads, found = torch.get_num_threads(), []
    for count in (1, 3):
        torch.set_num_threads(count)
        found.append(replace(ALL, size=48).apply(images, actions))
    torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_colors_are_torchvisions() -> None:
    view = pictures(40, 20, 20).float() / 255
    actions = replace(ALL, size=20, jitter=1.2, jitter_probability=1.0).sample(40, random(6))
    brightness, contrast, saturation, hue = actions[5:9]
    whole, none = torch.ones(40), torch.zeros(40)
    sigma = 0.1 + torch.rand(40, generator=random(7))
    pairs = {
        "brightness": (
            jittered(view, brightness, whole, whole, none),
            lambda x, i: one.adjust_brightness(x, float(brightness[i])),
        ),
        "contrast": (
            jittered(view, whole, contrast, whole, none),
            lambda x, i: one.adjust_contrast(x, float(contrast[i])),
        ),
        "saturation": (
            jittered(view, whole, whole, saturation, none),
            lambda x, i: one.adjust_saturation(x, float(saturation[i])),
        ),
        "hue": (hue_shifted(view, hue), lambda x, i: one.adjust_hue(x, float(hue[i]))),
        "gray": (
            grayed(view, actions.gray),
            lambda x, i: one.rgb_to_grayscale(x, 3) if actions.gray[i] else x,
        ),
        "blur": (
            blurred(view, sigma),
            lambda x, i: one.gaussian_blur(x, [3, 3], [float(sigma[i])]),
        ),
        "solarized": (
            solarized(view, actions.solarized),
            lambda x, i: one.solarize(x, 0.5) if actions.solarized[i] else x,
        ),
    }
    for name, (found, function) in pairs.items():
        expected = torch.stack([function(x, i) for i, x in enumerate(view)])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5, msg=name)
    in_order = one.adjust_contrast(one.adjust_brightness(view[9], 1.4), 1.6)
    in_order = one.adjust_hue(one.adjust_saturation(in_order, 0.3), -0.1)
    found = jittered(view[9:10], *(torch.tensor([v]) for v in (1.4, 1.6, 0.3, -0.1)))
    torch.testing.assert_close(found[0], in_order, rtol=0, atol=1e-5)


@given(st.tuples(*(st.integers(0, 255) for _ in range(3))), st.floats(-0.5, 0.5))
def test_every_hue_is_torchvisions(color: tuple[int, int, int], shift: float) -> None:
    view = (torch.tensor(color) / 255).view(1, 3, 1, 1)
    expected = one.adjust_hue(view, shift)
    found = hue_shifted(view, torch.tensor([shift]))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_wide_blur_is_torchvisions() -> None:
    view = torch.rand(3, 3, 96, 96, generator=random())
    sigma = torch.tensor([0.0, 0.05, 0.857])
    found = blurred(view, sigma)
    assert torch.equal(found[0], view[0])
    for i in (1, 2):
        expected = one.gaussian_blur(view[i], [9, 9], [float(sigma[i])])
        torch.testing.assert_close(found[i], expected, rtol=0, atol=1e-5)


def test_what_changes_nothing() -> None:
    images = pictures(4, 24, 24)
    views = ImageViews(24, (1.0, 1.0), (1.0, 1.0), 0.0, 0.0, 1.0, 0.0)
    view = views.apply(images, views.sample(4, random()))
    torch.testing.assert_close(view, images.float() / 255, rtol=0, atol=1e-5)


def test_law_of_the_parameters() -> None:
    count = 4000
    actions = STL10.sample(count, random(8))
    jittered = actions.brightness != 1
    for chosen, share in (
        (actions.flip, 0.5),
        (jittered, 0.8),
        (actions.gray, 0.2),
        (actions.blur > 0, 0.5),
        (actions.solarized, 0.2),
    ):
        assert binomtest(int(chosen.sum()), count, share).pvalue > 0.001
    assert torch.equal(jittered, actions.hue != 0) and torch.equal(jittered, actions.contrast != 1)
    for values, low, high in (
        (actions.brightness[jittered], 0.2, 1.8),
        (actions.contrast[jittered], 0.2, 1.8),
        (actions.saturation[jittered], 0.2, 1.8),
        (actions.hue[jittered], -0.2, 0.2),
        (actions.blur[actions.blur > 0] * 224 / 96, 0.1, 2.0),
    ):
        assert kstest(values.numpy(), "uniform", (low, high - low)).pvalue > 0.001
    assert bool((CIFAR.sample(99, random()).blur == 0).all())
    assert float(CIFAR.sample(count, random()).saturation.max()) == pytest.approx(1.4, abs=0.01)


def test_boxes_are_distributed_as_torchvisions() -> None:
    canvas, count = torch.empty(3, 2000, 2000), 1500  # so large that pixels are fine
    torch.manual_seed(0)
    crop = v2.RandomResizedCrop(32, IMAGENET.scale, IMAGENET.ratio)
    drawn = [crop.make_params([canvas]) for _ in range(count)]
    actions = IMAGENET.sample(count, random(9))
    for name in ("top", "left", "height", "width"):
        theirs = np.array([params[name] for params in drawn]) / 2000
        assert ks_2samp(getattr(actions, name).numpy(), theirs).pvalue > 0.001, name


def test_a_seed_means_the_same_views() -> None:
    first, second = (STL10.sample(5, random(10)) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))
    generator = random(10)
    STL10.sample(5, generator)
    assert not torch.equal(STL10.sample(5, generator).top, first.top)


def test_the_largest_central_box_if_none_fits() -> None:
    wide = ImageViews(8, scale=(1.0, 1.0), ratio=(2.0, 2.0)).sample(3, random())
    torch.testing.assert_close(torch.stack(wide[:4], 1), torch.tensor([[0.25, 0, 0.5, 1]] * 3))
    whole = ImageViews(8, scale=(1.0, 1.0), ratio=(0.5, 2.0)).sample(3, random())
    torch.testing.assert_close(torch.stack(whole[:4], 1), torch.tensor([[0.0, 0, 1, 1]] * 3))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 0}, "size is 0"),
        ({"scale": (0.0, 1.0)}, r"scale is \(0.0, 1.0\); expected 0 < low"),
        ({"scale": (0.5, 1.1)}, "scale is"),
        ({"ratio": (2.0, 0.5)}, r"ratio is \(2.0, 0.5\)"),
        ({"jitter": -0.1}, r"jitter is -0\.1; expected at least 0"),
        ({"jitter": 1.25}, r"jitter is 1\.25"),
        *(
            ({name: value}, rf"{name} is {value}; expected 0 to 1")
            for name in ("flip", "jitter_probability", "gray", "blur", "solarize")
            for value in (-0.1, 1.1, float("nan"))
        ),
    ],
)
def test_bad_settings(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(CIFAR, **change)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (
            torch.zeros(2, 3, 8, 8).half(),
            r"type torch\.float16; expected \[B, 3, H, W\], not",
        ),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), r"shape \(0, 3, 8, 8\)"),
        (torch.full((2, 3, 8, 8), 255.0), "images go from 255 to 255; expected 0 to 1, or uint8"),
        (torch.full((2, 3, 8, 8), math.nan), "images go from nan"),
        (torch.zeros(2, 3, 0, 8, dtype=torch.uint8), r"shape \(2, 3, 0, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), r"shape \(3, 8, 8\)"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), r"shape \(2, 1, 8, 8\)"),
        (torch.zeros(3, 3, 8, 8, dtype=torch.uint8), "actions are of 2 views; expected 3"),
    ],
)
def test_bad_images(images: Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        CIFAR.apply(images, CIFAR.sample(2, random()))


def test_bad_actions() -> None:
    images, actions = pictures(3, 32, 32), CIFAR.sample(3, random())
    with pytest.raises(InputError, match="height of a crop is 0"):
        CIFAR.apply(images, actions._replace(height=torch.zeros(3)))
    beyond = actions._replace(left=1.2 - actions.width)
    with pytest.raises(InputError, match=r"left of a crop is .* its end is 1\.2; expected 0 to 1"):
        CIFAR.apply(images, beyond)
    with pytest.raises(InputError, match=r"hue has shape \(2,\); expected \(3,\)"):
        CIFAR.apply(images, actions._replace(hue=actions.hue[:2]))
    with pytest.raises(InputError, match=r"gray is torch\.float32; expected torch\.bool"):
        CIFAR.apply(images, actions._replace(gray=actions.hue))
    with pytest.raises(InputError, match=r"hue is torch\.complex64; expected floating point"):
        CIFAR.apply(images, actions._replace(hue=actions.hue.cfloat()))
    with pytest.raises(InputError, match="actions are a tuple; expected ImageActions"):
        CIFAR.apply(images, tuple(actions))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="count is 0"):
        CIFAR.sample(0, random())
    with pytest.raises(InputError, match="count is 0"):
        CIFAR(images[:0])
    for name in ("brightness", "contrast", "saturation", "blur"):
        with pytest.raises(InputError, match=f"{name} of a view is -1; expected 0 or more"):
            CIFAR.apply(images, actions._replace(**{name: torch.tensor([1.0, -1.0, 1.0])}))
    for name in ("brightness", "hue", "blur"):
        with pytest.raises(InputError, match=f"NaN or infinite values in {name}"):
            CIFAR.apply(images, actions._replace(**{name: torch.full((3,), math.nan)}))
