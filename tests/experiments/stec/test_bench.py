import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import plastorch.experiments.stec.bench as efference
from plastorch.bench import run_group
from plastorch.efference import AUDIO, STL10, ImageActions, ImageViews
from plastorch.engine.streams import stream
from plastorch.experiments.stec.bench import (
    clip_by_clip,
    colors_agree,
    image_views,
    random_images,
    sound_views,
    torchvision_views,
)

TINY = replace(STL10, size=24)


def test_file_of_a_tiny_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter(
        [
            image_views("views-images", TINY, batch=6, rounds=1),
            sound_views("views-audio", AUDIO, (4, 12, 20), rounds=1),
        ]
    )
    monkeypatch.setattr(efference, "rows", lambda: ({"name": "tiny"}, measured))
    out = tmp_path / "bench.json"
    run_group("efference", out, lambda line: None)
    rows = json.loads(out.read_text())["rows"]
    assert [row["name"] for row in rows] == ["views-images", "views-audio"]
    assert all(row["equal"] and row["ratio"] > 0 for row in rows)


def test_both_sides_have_the_same_law() -> None:
    """Means and deviations of many views of one image, of each channel, are the same."""
    views, count = replace(STL10, size=16), 600
    images = random_images(1, 16).expand(count, -1, -1, -1)
    torch.manual_seed(0)
    one = torchvision_views(views)
    theirs = torch.stack([one(image) for image in images]).mean(dim=(2, 3))
    ours = views.apply(images, views.sample(count, stream(3))).mean(dim=(2, 3))
    error = (ours.var(dim=0) + theirs.var(dim=0)).div(count).sqrt()
    assert float(((ours.mean(dim=0) - theirs.mean(dim=0)) / error).abs().max()) < 4
    torch.testing.assert_close(ours.std(dim=0), theirs.std(dim=0), rtol=0.15, atol=0)


def test_sounds_one_by_one_have_the_same_law() -> None:
    clips = (2 * torch.randn(1, 12, 20, generator=stream(4)) - 4).expand(500, -1, -1)
    theirs = clip_by_clip(clips, AUDIO, stream(5))
    ours = AUDIO.apply(clips, AUDIO.sample(500, stream(6)))
    assert ours.shape == theirs.shape
    for found, expected in ((ours, theirs), (ours.square(), theirs.square())):
        mean, other = found.mean(dim=(1, 2, 3)), expected.mean(dim=(1, 2, 3))
        assert float(mean.mean()) == pytest.approx(float(other.mean()), rel=0.1, abs=0.05)


def test_a_difference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(8, 24)
    assert colors_agree(images, TINY)
    apply = ImageViews.apply

    def redder(views: ImageViews, images: torch.Tensor, actions: ImageActions) -> torch.Tensor:
        return apply(views, images, actions._replace(hue=actions.hue + 0.05))

    monkeypatch.setattr(ImageViews, "apply", redder)
    assert not colors_agree(images, TINY)
