"""Images of what neurons respond to: receptive fields, top patches, features in the plane."""

from collections.abc import Mapping, Sequence

from plastorch.report import charts
from plastorch.report.format import number
from plastorch.report.load import Array, RunData
from plastorch.report.panel import Panel


def fields(run: RunData) -> Panel | None:
    """Returns the panel of receptive fields, if the run kept any that can be shown."""
    layers = _by_layer(run, "receptive_fields", dimensions=4)
    if not layers:
        return None
    sides = _listed([f"{images.shape[-1]}" for images in layers.values()])
    return Panel(
        name="layer-fields",
        title="What drives neurons of each layer",
        caption="The image that drives each neuron most, found by gradient ascent from gray in "
        "smooth steps; parts that stay gray do not matter to it. Shown are the neurons of a layer "
        f"with the most structured kernels, most structured first. An image is {sides} pixels "
        "wide, all that a neuron of the layer sees.",
        alt=f"Grids of small pictures, the receptive fields of neurons of {_layers(layers)}.",
        draw=lambda theme: charts.images(_pictures(layers), columns=8, theme=theme),
    )


def patches(run: RunData) -> Panel | None:
    """Returns the panel of top patches, if the run kept any that can be shown."""
    layers = _by_layer(run, "top_patches", dimensions=5)
    if not layers:
        return None
    count = max(found.shape[1] for found in layers.values())
    return Panel(
        name="top-patches",
        title="Where neurons respond most",
        caption=f"Each row is one neuron with a structured kernel, and the {number(count)} "
        "patches of test images that drive it most, the strongest first and each from another "
        "image. Where a patch reaches beyond its image, the image is mirrored, as for the network.",
        alt=f"Rows of image patches, the strongest for neurons of {_layers(layers)}.",
        draw=lambda theme: charts.images(
            _pictures(layers, largest=255), columns=count, theme=theme
        ),
    )


def embedding(run: RunData) -> Panel | None:
    """Returns the panel of the features in the plane, if the run kept them."""
    points, labels = run.arrays.get("embedding"), run.arrays.get("embedding_labels")
    classes = [str(name) for name in run.result.get("data", {}).get("classes") or []]
    if points is None or labels is None or labels.ndim != 1 or points.shape != (len(labels), 2):
        return None
    if not len(labels) or not 0 <= labels.min() <= labels.max() < len(classes):
        return None
    legend = (
        "" if len(classes) <= charts.MAX_LABELED else f" Each of {len(classes)} classes has a hue."
    )
    return Panel(
        name="embedding",
        title="Test images as the network sees them",
        caption=f"The features of {number(len(labels))} test images, brought to the plane by "
        "principal components and t-SNE, which keeps neighbors together; distances between far "
        f"groups mean little. Colors are the true classes, which were not used for the picture."
        f"{legend}",
        alt=f"Scatter plot of {number(len(labels))} test images, colored by class.",
        draw=lambda theme: charts.plane(points, labels, classes, theme=theme),
    )


def _by_layer(run: RunData, name: str, dimensions: int) -> dict[int, Array]:
    """Returns arrays NAME_layerN that can be shown as images, by N."""
    found = {}
    for layer in range(1, 1 + len(run.arrays)):
        array = run.arrays.get(f"{name}_layer{layer}")
        if array is not None and array.ndim == dimensions and array.shape[-3] in (1, 3):
            found[layer] = array
    return {layer: array for layer, array in found.items() if array.size}


def _pictures(layers: Mapping[int, Array], largest: float = 1.0) -> dict[str, Array]:
    """Returns images from 0 to 1 by the name of their layer and their size."""
    return {
        f"layer {layer}: {found.shape[-2]} × {found.shape[-1]} pixels": (
            found.reshape(-1, *found.shape[-3:]) / largest
        )
        for layer, found in layers.items()
    }


def _layers(layers: Mapping[int, object]) -> str:
    return f"layer{'s' if len(layers) > 1 else ''} {_listed([str(layer) for layer in layers])}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
