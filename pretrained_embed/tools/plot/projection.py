"""Places in the plane for vectors of many dimensions."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from pretrained_embed.arrays import Float32Array, Float64Array
from pretrained_embed.errors import MissingPackageError, OptionError, suggestion
from pretrained_embed.matrix import EmbeddingMatrix, Projection

#: Called with what is about to be done, before each step that takes its time.
Step = Callable[[str], None]

_PERPLEXITY = 30.0
_NEIGHBOURS = 15
_FEW = 2000


def project(
    vectors: Float32Array,
    method: Projection = "pca",
    *,
    seed: int = 0,
    step: Step | None = None,
) -> Float32Array:
    """Return a place in the plane for each row, float32 (rows, 2), centred.

    ``vectors`` is float32 (rows, dim); each row is made 1 long first, as neighbours are
    those by cosine, and numbers that are not finite count as zeros. The same rows,
    method and seed give the same places on one machine with the same versions.

    * "pca": the two directions of largest variance; each points where its largest
      part is positive;
    * "tsne": t-SNE (van der Maaten and Hinton 2008) of scikit-learn, begun from "pca";
    * "umap": UMAP (McInnes, Healy and Melville 2018) of umap-learn.

    Raises `OptionError` for another method, and `MissingPackageError` where its
    package is not installed.
    """
    known = EmbeddingMatrix.PROJECTIONS
    if method not in known:
        raise OptionError(
            f"unknown method {method!r}; known: {', '.join(known)}"
            f"{suggestion(str(method), known)}"
        )
    tell = step or (lambda _: None)
    rows = _directions(vectors)
    if len(rows) < 3 and method != "pca":
        method = "pca"  # two points have one picture
    tell("finding the main directions")
    places = _pca(rows)
    if method == "tsne":
        tell("running t-SNE")
        places = _tsne(rows, places, seed)
    elif method == "umap":
        tell("running UMAP")
        places = _umap(rows, seed)
    centred: Float32Array = (places - places.mean(axis=0)).astype(np.float32)
    return centred


def _directions(vectors: Float32Array) -> Float64Array:
    wide = np.nan_to_num(vectors.astype(np.float64), posinf=0.0, neginf=0.0)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    units: Float64Array = wide / np.where(norms > 0, norms, 1.0)
    return units


def _pca(rows: Float64Array) -> Float64Array:
    centred = rows - rows.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # by rising variance
    main = axes[:, ::-1][:, :2]
    largest = np.abs(main).argmax(axis=0)
    main = main * np.where(main[largest, range(main.shape[1])] < 0, -1.0, 1.0)
    places = np.zeros((len(rows), 2))
    places[:, : main.shape[1]] = centred @ main
    return places


def _tsne(rows: Float64Array, start: Float64Array, seed: int) -> Float64Array:
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingPackageError(
            "t-SNE needs scikit-learn: pip install scikit-learn"
        ) from error
    spread = start.std(axis=0)[0] or 1.0
    model = TSNE(
        perplexity=min(_PERPLEXITY, (len(rows) - 1) / 3),
        init=(start / spread * 1e-4).astype(np.float32),
        random_state=seed,
    )
    # For few rows the threads of OpenMP wait for each other longer than they work.
    with threadpool_limits(limits=1 if len(rows) < _FEW else None):
        places: Float64Array = model.fit_transform(rows.astype(np.float32))
    return places


def _umap(rows: Float64Array, seed: int) -> Float64Array:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts that need TensorFlow
            from umap import UMAP
    except ImportError as error:
        raise MissingPackageError(
            "UMAP needs umap-learn: pip install umap-learn"
        ) from error
    with warnings.catch_warnings():
        # It says that one seed means one thread, which is what is wanted here.
        warnings.simplefilter("ignore")
        model = UMAP(
            n_neighbors=min(_NEIGHBOURS, len(rows) - 1),
            metric="cosine",
            random_state=seed,
            n_jobs=1,
            init="random" if len(rows) < 20 else "spectral",
        )
        places: Float64Array = model.fit_transform(rows.astype(np.float32))
    return places
