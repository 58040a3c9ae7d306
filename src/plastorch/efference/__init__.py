"""Self-supervised learning with efference copies: the model knows how its views were made."""

from plastorch.efference.actions import AudioActions, ImageActions, Views, theta
from plastorch.efference.audio_views import AUDIO, AudioViews
from plastorch.efference.binning import COMPATIBLE_BINS, Bins, estimate_bins
from plastorch.efference.copies import (
    FACTORS,
    Kind,
    command,
    compatible,
    compose,
    differences,
    egocentric,
    egocentric_audio,
    full_command,
    invert,
)
from plastorch.efference.encoders import Encoder, resnet, small_resnet
from plastorch.efference.geometry import Geometry, geometry
from plastorch.efference.heads import ActionHead, InverseModel, projection
from plastorch.efference.losses import byol, manipulation, nt_xent, relic
from plastorch.efference.method import BASELINE, Losses, Method, Weights
from plastorch.efference.methods import BYOL, ReLIC, SimCLR
from plastorch.efference.optim import Training
from plastorch.efference.poses import affine_matrices, crop_boxes, crops
from plastorch.efference.probes import extract, knn_accuracy, logistic_accuracy, ridge_accuracy
from plastorch.efference.rivals import ESSL, AugSelf, EquiMod
from plastorch.efference.train import Learner, Pretraining, Sources
from plastorch.efference.values import Rotations, Values, estimate_values
from plastorch.efference.views import CIFAR, IMAGENET, STL10, ImageViews

__all__ = [
    "AUDIO",
    "BASELINE",
    "BYOL",
    "CIFAR",
    "COMPATIBLE_BINS",
    "ESSL",
    "FACTORS",
    "IMAGENET",
    "STL10",
    "ActionHead",
    "AudioActions",
    "AudioViews",
    "AugSelf",
    "Bins",
    "Encoder",
    "EquiMod",
    "Geometry",
    "ImageActions",
    "ImageViews",
    "InverseModel",
    "Kind",
    "Learner",
    "Losses",
    "Method",
    "Pretraining",
    "ReLIC",
    "Rotations",
    "SimCLR",
    "Sources",
    "Training",
    "Values",
    "Views",
    "Weights",
    "affine_matrices",
    "byol",
    "command",
    "compatible",
    "compose",
    "crop_boxes",
    "crops",
    "differences",
    "egocentric",
    "egocentric_audio",
    "estimate_bins",
    "estimate_values",
    "extract",
    "full_command",
    "geometry",
    "invert",
    "knn_accuracy",
    "logistic_accuracy",
    "manipulation",
    "nt_xent",
    "projection",
    "relic",
    "resnet",
    "ridge_accuracy",
    "small_resnet",
    "theta",
]
