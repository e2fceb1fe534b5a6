"""The figures as a picture: a column a model; plain cosine, templates of one key, its errors, templates of two keys."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from models.contract.face_models import FaceModel, face_model
from models.face.measures import BIN, Counts, local_linkability, normal_false_match_rate, rates
from tests.experiments.figures.comparing import Compared
from tests.experiments.figures.study import Study, Way

__all__ = ["draw"]

_MATED, _NON_MATED, _LINK = "tab:blue", "tab:orange", "dimgray"
_HEADROOM: Final = 1.35
"""Of the axes over what is drawn: the legend stands there."""
_ENOUGH: Final = 50
"""Comparisons of one person with such a score: with fewer, D<->(s) is luck and not drawn."""
_LEFT: Final = 0.33
"""The share of equal bits where axes begin; nothing lies below."""
_LEAST: Final = 1e-9
"""Where the axis of errors ends."""


def draw(path: Path, studies: Sequence[tuple[Study, Compared]]) -> None:
    """Write a PNG."""
    mpl.use("Agg")
    figure = Figure(figsize=(6.5 * len(studies), 13), layout="constrained")
    columns = figure.subplots(4, len(studies), squeeze=False).T
    for column, (study, compared) in zip(columns, studies, strict=True):
        _draw_column(column, study, compared)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=80)
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)  # a third of the bytes, the same picture


def _draw_column(column: NDArray[np.object_], study: Study, compared: Compared) -> None:
    plain, one_key, errors, two_keys = column
    model, ways = face_model(study.model), {way.name: way for way in study.ways}
    _draw_densities(plain, compared["plain cosine"], "")
    _draw_densities(one_key, compared["one key"], "")
    _draw_errors(errors, compared["one key"], study, model)
    _draw_densities(two_keys, compared["two sites"], ", two sites")
    _draw_outlines(two_keys, compared["two epochs"])
    for axes, name in ((plain, "plain cosine"), (one_key, "one key"), (two_keys, "two sites")):
        axes.set_title(_title(ways[name]), fontsize="medium")
    errors.set_title("errors by threshold, one key", fontsize="medium")
    plain.set_title(f"{study.model}\n{study.source}\n\n{plain.get_title()}", fontsize="medium")
    _name_axes(column, model)


def _draw_densities(axes: Axes, counts: Counts, which: str) -> None:
    """Two histograms, and on the right D<->(s)."""
    for each, name, colour in _sides(counts):
        axes.stairs(_density(each), _edges(counts), fill=True, alpha=0.5, color=colour, label=f"{name}{which}")
    axes.set_ylabel("share of comparisons a bit")
    axes.margins(y=_HEADROOM - 1)
    enough = _binned(counts.mated) >= _ENOUGH
    right = axes.twinx()
    right.stairs(
        np.where(enough, local_linkability(counts), np.nan), _edges(counts), baseline=None, color=_LINK, linewidth=1
    )
    right.set_ylim(0, _HEADROOM)
    right.set_yticks([0, 0.5, 1])
    right.set_ylabel("D↔(s), gray line", color=_LINK)


def _draw_outlines(axes: Axes, counts: Counts) -> None:
    for each, name, colour in _sides(counts):
        axes.stairs(_density(each), _edges(counts), color=colour, linestyle="--", label=f"{name}, two epochs")


def _draw_errors(axes: Axes, counts: Counts, study: Study, model: FaceModel) -> None:
    thresholds, both, bound = np.arange(counts.mated.size + 1), rates(counts), study.false_matches.upper_bound
    normal = [normal_false_match_rate(counts, int(threshold)) for threshold in thresholds]
    axes.semilogy(thresholds, _seen(both.false_match), color=_NON_MATED, label="false match")
    axes.semilogy(thresholds, normal, color=_NON_MATED, linestyle=":", label="false match if normal (extrapolated)")
    axes.semilogy(thresholds, _seen(both.false_non_match), color=_MATED, label="false non-match")
    axes.plot(model.least_threshold, bound, "v", color="black", label=f"false match at most {bound:.2g} (95 %)")
    axes.set_ylim(_LEAST, 3)
    axes.set_ylabel("share of comparisons")


def _name_axes(column: NDArray[np.object_], model: FaceModel) -> None:
    for axes in column:
        axes.set_xlim(_LEFT * model.bits, model.bits)
        axes.set_xlabel(f"score, equal bits of {model.bits:,}")
    for axes in column[1:]:
        axes.axvline(model.doubt, color="black", linestyle=":", linewidth=1, label=f"doubt, {model.doubt}")
        axes.axvline(
            model.least_threshold, color="black", linewidth=1, label=f"lowest threshold, {model.least_threshold}"
        )
    plain, one_key, errors, two_keys = column
    for axes, ncols in ((plain, 4), (one_key, 4), (two_keys, 3)):
        axes.legend(fontsize="small", ncols=ncols, loc="upper center")
    errors.legend(fontsize="small", loc="best")
    cosines = np.linspace(0, 1, 6)
    plain.set_xticks((1 + cosines) * model.bits / 2, [f"{cosine:.1f}" for cosine in cosines])
    plain.set_xlabel("cosine of two embeddings")


def _edges(counts: Counts) -> NDArray[np.int64]:
    return np.arange(0, counts.mated.size - 1 + 2 * BIN, BIN)


def _sides(counts: Counts) -> tuple[tuple[NDArray[np.int64], str, str], ...]:
    return (counts.mated, "one person", _MATED), (counts.non_mated, "two people", _NON_MATED)


def _title(way: Way) -> str:
    return (
        f"{way.name}: d' {way.decidability:.2f}, EER {100 * way.equal_error_rate:.2g} %, "
        f"$D_{{sys}}$ {way.linkability:.3f} (by chance {way.linkability_by_chance:.3f})"
    )


def _density(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    density: NDArray[np.float64] = _binned(counts) / counts.sum() / BIN
    return density


def _binned(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    binned: NDArray[np.int64] = np.pad(counts, (0, -counts.size % BIN)).reshape(-1, BIN).sum(axis=1)
    return binned


def _seen(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out what was never seen: a logarithmic axis has no zero."""
    return np.where(shares > 0, shares, np.nan)
