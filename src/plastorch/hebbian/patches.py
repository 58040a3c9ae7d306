"""Patches of images and of maps."""

import torch
from torch import Tensor


def cut(maps: Tensor, which: Tensor, place: Tensor, size: int) -> Tensor:
    """Returns patches [K, C, size, size] of maps [N, C, H, W].

    Args:
        maps: maps to cut from.
        which: index [K] of each patch's map.
        place: top and left edge [2, K] of each patch, from 0 up to 1, as a share of all positions.
        size: side of the patches.
    """
    spans = torch.tensor(maps.shape[2:]) - size + 1
    top, left = (place * spans.unsqueeze(1)).long().unsqueeze(2)
    rows, columns = top + torch.arange(size), left + torch.arange(size)
    found = maps[which[:, None, None], :, rows.unsqueeze(2), columns.unsqueeze(1)]
    return found.permute(0, 3, 1, 2)
