"""Scenes for encoders of an experiment, and what is measured on them."""

import torch

from plastorch.data.images.imageset import ImageSet
from plastorch.efference import small_resnet
from plastorch.efference.encoders import Encoder
from plastorch.experiments.stec.transfer import Amounts, make_scenery, transfer_scores

AMOUNTS = Amounts((30, 12), (6, 4), 1, 1)


def colors() -> ImageSet:
    """Backgrounds: dark ones to learn from, bright ones to be tested on."""
    dark, bright = (torch.full((2, 3, 8, 8), gray, dtype=torch.uint8) for gray in (20, 220))
    labels = torch.tensor([0, 1])
    return ImageSet("grays", dark, labels, bright, labels, ("a", "b"), "made up", "")


def bars() -> ImageSet:
    """Glyphs: upright bars to learn from, level ones to be tested on."""
    upright, level = torch.zeros(2, 2, 1, 28, 28, dtype=torch.uint8)
    upright[:, :, 4:24, 12:16], level[:, :, 12:16, 4:24] = 255, 255
    labels = torch.tensor([0, 1])
    return ImageSet("bars", upright, labels, level, labels, ("a", "b"), "made up", "")


def test_tests_are_of_test_images_and_glyphs() -> None:
    scenery = make_scenery(colors(), bars(), 40, AMOUNTS, (0,))
    for of, counts in ((scenery.places, AMOUNTS.places), (scenery.scenes, AMOUNTS.scenes)):
        assert [len(part) for part in of] == list(counts)
        for part, gray, upright in zip(of, (20, 220), (True, False), strict=True):
            ground = part.images.permute(0, 2, 3, 1)[part.instances == 0]
            assert set(ground.flatten().tolist()) == {gray}
            width, height = (part.boxes[:, 2:] - part.boxes[:, :2]).T
            assert bool((height > width if upright else width > height).all())
    assert bool((scenery.places[0].counts == 1).all()) and bool(
        (scenery.scenes[0].counts > 1).any()
    )


def test_a_path_means_the_same_scenes() -> None:
    one, same, other = (
        make_scenery(colors(), bars(), 40, AMOUNTS, (0, seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one.scenes[0].images, same.scenes[0].images)
    assert not torch.equal(one.scenes[0].images, other.scenes[0].images)
    assert not torch.equal(one.places[0].boxes[:12], one.places[1].boxes)


def test_encoders_are_left_as_they_are_and_trials_repeat() -> None:
    torch.manual_seed(0)
    encoder = small_resnet(2)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    scenery = make_scenery(colors(), bars(), 40, AMOUNTS, (0,))
    state = torch.get_rng_state()
    first, second = (transfer_scores(encoder, scenery, AMOUNTS, (3,)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state) and first == second
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert list(first) == ["place_r2", "size_r2", "color_r2", "orientation_accuracy",
                           "place_iou", "constant_iou", "segmentation_iou",
                           "detection_ap50"]  # fmt: skip


class Places(torch.nn.Module):
    """Maps whose means are the centers of what is brighter than the background."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        ground = images[:, :, :1, :1]
        seen = ((images - ground).abs().amax(dim=1) > 0.02).float()
        share = seen / seen.mean(dim=(1, 2), keepdim=True)
        along = torch.linspace(0, 1, images.shape[-1])
        none = torch.zeros_like(share)
        return torch.stack([share * along, share * along[:, None], none, none], dim=1)


def test_an_encoder_that_knows_places_finds_them() -> None:
    class Seer(Encoder):
        def __init__(self) -> None:
            super().__init__(Places(), 4)
            self.scale = torch.nn.Parameter(torch.ones(()))

    scenery = make_scenery(colors(), bars(), 40, AMOUNTS._replace(places=(200, 50)), (0,))
    found = transfer_scores(Seer(), scenery, AMOUNTS, (0,))
    assert float(found["place_r2"]) > 0.95 and float(found["size_r2"]) < 0.5
