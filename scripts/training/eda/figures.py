"""The drawings of the report, each as one SVG element."""

import io
import re
from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from scripts.training.catalogue import Catalogue
from scripts.training.eda.tables import FeatureFigures, label_shares
from scripts.training.split import Split

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#000000")
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "eda", "font.family": "sans-serif", "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#888", "axes.titlesize": 10,
    "axes.titleweight": "bold", "axes.titlelocation": "left",
}
PANEL_WIDTH, PANEL_HEIGHT, MARGIN = 3.6, 2.5, 0.6
COLUMNS = 3
HISTOGRAM_BINS = 30
READABLE_CELLS = 16
SIZE = re.compile(r' (width|height)="[^"]+pt"')


def label_counts(split: Split, catalogue: Catalogue) -> str:
    """How many training rows have each label."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 0.5 + 0.42 * len(catalogue.labels)), layout="constrained")
        axes = figure.subplots()
        counts = [int((split.train_labels == label.code).sum()) for label in catalogue.labels]
        names = [label.text["en"] for label in catalogue.labels]
        bars = axes.barh(names, counts, color=[colour(index) for index in range(len(counts))])
        shares = [f" {count:,} ({count / sum(counts):.1%})" for count in counts]
        axes.bar_label(bars, shares)
        axes.set_xlim(0, max(counts) * 1.25)
        axes.invert_yaxis()
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        return svg(figure)


def distributions(figures: list[FeatureFigures], split: Split, catalogue: Catalogue) -> str:
    """Each feature's values within each label, the shares of a label adding up to 1."""
    def draw(axes: Axes, one: FeatureFigures) -> None:
        bins = histogram_bins(one.values)
        for index, label in enumerate(catalogue.labels):
            values = one.values[split.train_labels == label.code]
            share = np.histogram(values, bins)[0] / len(values)
            axes.stairs(share, bins, fill=True, alpha=0.25, color=colour(index), label=label.text["en"])
            axes.stairs(share, bins, linewidth=1.2, color=colour(index))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel(unit_of(one))

    return panels(figures, draw, legend=True)


def shares(figures: list[FeatureFigures], split: Split, catalogue: Catalogue) -> str:
    """How often each label (of two, the positive or second one) occurs along each feature, with 95 % intervals."""
    shown = shown_labels(catalogue)

    def draw(axes: Axes, one: FeatureFigures) -> None:
        for index in shown:
            label = catalogue.labels[index]
            bins = label_shares(one.values, split.train_labels == label.code)
            places = np.arange(len(bins)) + 0.12 * (shown.index(index) - (len(shown) - 1) / 2)
            centre = np.array([entry.share for entry in bins])
            reach = [centre - [entry.share_low for entry in bins], [entry.share_high for entry in bins] - centre]
            axes.errorbar(
                places, centre, reach, fmt="o-", markersize=3.5, linewidth=1, capsize=2, color=colour(index),
                label=label.text["en"],
            )
            axes.axhline((split.train_labels == label.code).mean(), color=colour(index), linewidth=0.8, linestyle=":")
            axes.set_xticks(range(len(bins)), [bin_name(entry.low, entry.high) for entry in bins])
        axes.tick_params(axis="x", labelsize=7, labelrotation=35)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylim(bottom=0)
        axes.set_xlabel(unit_of(one))

    return panels(figures, draw, legend=len(shown) > 1)


def correlation_map(correlations: np.ndarray, catalogue: Catalogue) -> str:
    """Spearman's correlations as a map; the numbers stand in it where there is room."""
    names = [feature.names["en"] for feature in catalogue.features]
    with matplotlib.rc_context(STYLE):
        side = 2.6 + 0.42 * len(names)
        figure = Figure(figsize=(side + 0.6, side), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(correlations, cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
        axes.set_yticks(range(len(names)), names)
        if len(names) <= READABLE_CELLS:
            for row, column in np.ndindex(correlations.shape):
                value = correlations[row, column]
                ink = "white" if abs(value) > 0.6 else "#333"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
        figure.colorbar(image, shrink=0.7)
        return svg(figure)


def strongest_pair(figures: list[FeatureFigures], split: Split, catalogue: Catalogue) -> str:
    """The training rows by the two most informative features that take more than two values."""
    one, other = [figure for figure in figures if figure.distinct > 2][:2]
    rng = np.random.default_rng(0)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        for index, label in enumerate(catalogue.labels):
            rows = split.train_labels == label.code
            axes.scatter(
                jittered(one, rng)[rows], jittered(other, rng)[rows], s=7, alpha=0.5, linewidth=0,
                color=colour(index), label=label.text["en"],
            )
        axes.set_xlabel(f"{one.feature.names['en']} {unit_of(one)}".strip())
        axes.set_ylabel(f"{other.feature.names['en']} {unit_of(other)}".strip())
        figure.legend(loc="outside upper right", ncols=4, frameon=False, markerscale=3)
        return svg(figure)


def panels(figures: list[FeatureFigures], draw: Callable[[Axes, FeatureFigures], None], legend: bool) -> str:
    """One small drawing for each feature, three a row."""
    rows = -(-len(figures) // COLUMNS)
    with matplotlib.rc_context(STYLE):
        height = rows * PANEL_HEIGHT + MARGIN
        figure = Figure(figsize=(COLUMNS * PANEL_WIDTH, height))
        figure.subplots_adjust(
            left=0.05, right=0.99, bottom=MARGIN / height, top=1 - MARGIN / height, wspace=0.2, hspace=0.75,
        )
        for axes, one in zip(figure.subplots(rows, COLUMNS, squeeze=False).flat, figures, strict=False):
            draw(axes, one)
            axes.set_title(one.feature.names["en"])
            axes.yaxis.set_major_locator(MaxNLocator(4))
            if one.feature.type == "binary" and one.distinct == 2:
                axes.set_xticks([0, 1])
        for axes in list(figure.axes)[len(figures):]:
            axes.set_visible(False)
        if legend:
            handles, names = figure.axes[0].get_legend_handles_labels()
            figure.legend(handles, names, loc="upper right", ncols=4, frameon=False)
        return svg(figure)


def shown_labels(catalogue: Catalogue) -> list[int]:
    """Which labels' shares are drawn: of two only one, since the other is what is left."""
    if len(catalogue.labels) > 2:
        return list(range(len(catalogue.labels)))
    return [next((index for index, label in enumerate(catalogue.labels) if label.positive), 1)]


def histogram_bins(values: np.ndarray) -> np.ndarray:
    """About thirty of one width; whole values all in the middle of theirs or equally many in each."""
    if (values == np.floor(values)).all():
        width = max(1, int(np.ptp(values)) // HISTOGRAM_BINS)
        return np.arange(values.min(), values.max() + width + 1, width) - 0.5
    return np.linspace(values.min(), values.max(), HISTOGRAM_BINS + 1)


def jittered(one: FeatureFigures, rng: np.random.Generator) -> np.ndarray:
    """Values a little beside where they are, when they are whole, so that dots do not hide each other."""
    return one.values + (rng.uniform(-0.3, 0.3, len(one.values)) if one.feature.is_whole else 0)


def bin_name(low: float, high: float) -> str:
    """A value, or a range of values."""
    return short(low) if low == high else f"{short(low)}–{short(high)}"


def short(value: float) -> str:
    """Four digits, or all whole ones."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def unit_of(one: FeatureFigures) -> str:
    """The feature's unit in brackets, or nothing."""
    return f"({one.feature.unit['en']})" if one.feature.unit else ""


def colour(index: int) -> str:
    """The colour of a label by its place in the catalogue."""
    return COLOURS[index % len(COLOURS)]


def svg(figure: Figure) -> str:
    """The drawing without the XML prologue, as wide as the page allows."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    drawing = buffer.getvalue()
    return SIZE.sub("", drawing[drawing.index("<svg"):], count=2)
