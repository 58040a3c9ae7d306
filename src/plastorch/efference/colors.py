"""Color transforms of whole batches on any device, each view with its own parameters.

Brightness, contrast, saturation and hue change as in torchvision's functions of the same names,
but in floating point.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.2989, 0.587, 0.114)


def luma(view: Tensor) -> Tensor:
    """Returns the gray value of colors, [B, 1, H, W] of [B, 3, H, W]."""
    red, green, blue = view[:, 0:1], view[:, 1:2], view[:, 2:3]
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def jittered(
    view: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor
) -> Tensor:
    """Changes brightness, contrast, saturation, hue of images in [0, 1] [B, 3, H, W] in this order.

    The first three are factors [B] that mix the view with black, with its mean gray value and with
    each pixel's gray value, clipped to [0, 1]. Hue shifts are shares of the circle [B].
    """
    view = (view * _per_view(brightness)).clamp_(0, 1)
    mean, factor = luma(view.mean(dim=(2, 3), keepdim=True)), _per_view(contrast)
    view.mul_(factor).add_(mean * (1 - factor)).clamp_(0, 1)
    view = torch.lerp(luma(view), view, _per_view(saturation)).clamp_(0, 1)
    return hue_shifted(view, hue)


def hue_shifted(view: Tensor, shift: Tensor) -> Tensor:
    """Shifts hues of images in [0, 1] [B, 3, H, W] by shares of the circle [B] in the HSV hexagon:
    a channel is largest up to a sixth of the circle from its own hue, smallest beyond a third."""
    high, low = view.amax(dim=1, keepdim=True), view.amin(dim=1, keepdim=True)
    chroma = high - low
    share = (view - low).div_(chroma.clamp(min=1e-12))
    red, green, blue = share[:, 0:1], share[:, 1:2], share[:, 2:3]
    # In sixths of the circle. The share of the largest channel is exactly 1; others are rounded.
    hue = torch.lerp((4 + red).sub_(green), (2 + blue).sub_(red), green.floor())
    hue = torch.lerp(hue, green - blue, red.floor())
    hue = hue.div_(6).add_(_per_view(shift))
    own = torch.arange(3, device=view.device).view(3, 1, 1) / 3
    distance = hue - own
    distance = distance.sub_(distance.round()).abs_()
    return high - distance.mul_(6).sub_(1).clamp_(0, 1).mul_(chroma)


def blurred(view: Tensor, sigma: Tensor) -> Tensor:
    """Blurs images [B, C, H, W] by a Gaussian of ``sigma`` pixels [B], where it is above 0, over an
    odd number of pixels, a tenth of the view, which is reflected at its edges."""
    taps = int(0.1 * view.shape[-1]) // 2 * 2 + 1
    if taps == 1:
        return view
    if view.device.type != "cpu":  # finding the blurred views would wait for the device
        return _convolved(view, sigma, taps)
    rows = sigma.nonzero()[:, 0]
    if not len(rows):
        return view
    return view.index_copy(0, rows, _convolved(view[rows], sigma[rows], taps))


def _convolved(view: Tensor, sigma: Tensor, taps: int) -> Tensor:
    """Returns views [B, C, H, W] convolved with Gaussians; those of sigma 0 stay as they are."""
    offsets = torch.arange(taps, device=view.device) - taps // 2
    kernels = torch.softmax(-0.5 * (offsets / sigma.clamp(min=1e-6)[:, None]).square(), dim=1)
    kernels = F.threshold(kernels, 1e-12, 0)  # denormals are many times slower
    channels = view.shape[0] * view.shape[1]
    kernels = kernels.to(view).repeat_interleave(view.shape[1], dim=0)
    padded = F.pad(view, (taps // 2,) * 4, mode="reflect").flatten(0, 1)[None]
    across = F.conv2d(padded, kernels[:, None, None, :], groups=channels)
    return F.conv2d(across, kernels[:, None, :, None], groups=channels).view_as(view)


def grayed(view: Tensor, gray: Tensor) -> Tensor:
    """Makes views [B, 3, H, W] gray where requested, bool [B]."""
    return torch.lerp(view, luma(view), _per_view(gray))


def solarized(view: Tensor, inverted: Tensor) -> Tensor:
    """Inverts values of one half and more in views [B, C, H, W] where requested, bool [B]."""
    # The smaller of v and 1 - v is v below one half and 1 - v from there on.
    return torch.minimum(view, (view * -_per_view(inverted)).add_(1))


def _per_view(values: Tensor) -> Tensor:
    """Reshapes [B] to [B, 1, 1, 1], to broadcast with images."""
    return values.float().view(-1, 1, 1, 1)
