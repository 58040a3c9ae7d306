"""Embedding of features of many dimensions in a plane."""

from torch import Tensor

from plastorch.engine.device import seed32
from plastorch.engine.errors import InputError, check_finite, check_positive

PERPLEXITY = 30.0


def embedding(features: Tensor, seed: int = 0, components: int = 50) -> Tensor:
    """Embeds features [N, F] in a plane [N, 2]: principal components, then t-SNE of perplexity 30.

    Journé et al. 2023 (section on embeddings) shows principal components under UMAP; t-SNE is the
    closest method in scikit-learn. Equal seeds give equal points.
    """
    import torch
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    check_positive(components=components)
    if features.dim() != 2 or len(features) < 3 or not features.shape[1]:
        raise InputError(f"features have shape {tuple(features.shape)}; expected [N, F] with N > 2")
    check_finite(features=features)
    rows = features.float().cpu().numpy()
    kept = min(components, *rows.shape)
    state = seed32(seed)
    reduced = PCA(kept, svd_solver="randomized", random_state=state).fit_transform(rows)
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    init = "pca" if kept > 1 else "random"
    points = TSNE(2, perplexity=perplexity, init=init, random_state=state).fit_transform(reduced)
    return torch.from_numpy(points).float()
