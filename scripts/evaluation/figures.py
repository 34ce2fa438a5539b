"""The figures of an evaluation, as PNG."""

import io
from collections.abc import Iterator

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from scripts.evaluation.comparison import Comparison
from scripts.evaluation.evaluate import Evaluation, TableResult
from scripts.evaluation.gains import cumulative_gains
from scripts.evaluation.importance import Importance
from scripts.evaluation.model_contract import ModelContract
from scripts.evaluation.seeds import SeedScores

BLUE, ORANGE, GREY = "#1f5fa8", "#d9731a", "#8a8f98"
LINE_COLOURS = (BLUE, ORANGE, "#2a8f6d", "#9b4f96", "#5b5f66")
STYLE = {
    "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": "#e4e6ea", "axes.axisbelow": True, "axes.titlesize": 11, "axes.titlelocation": "left",
    "figure.constrained_layout.use": True, "legend.frameon": False,
}
DPI = 130
ROW_INCHES = 0.34


def draw(evaluation: Evaluation) -> dict[str, bytes]:
    """PNG by file name, without the ending."""
    drawn: dict[str, bytes] = {}
    contract = evaluation.version.contract
    with plt.rc_context(STYLE):
        for result in evaluation.tables:
            figures = (
                ("confusion", confusion(contract, result)), ("ranking", ranking(contract, result)),
                ("calibration", calibration(result)), ("gains", gains(contract, result)),
                ("segments", segments(result)),
            )
            drawn |= {f"{result.key}-{name}": as_png(figure) for name, figure in figures if figure is not None}
            if isinstance(result.comparison, Comparison):
                drawn[f"{result.key}-comparison"] = as_png(comparison(result.comparison))
        drawn["importance"] = as_png(importance(evaluation.importances))
        if evaluation.seeds is not None:
            drawn["seeds"] = as_png(seeds(evaluation.seeds, evaluation.tables[0]))
    return drawn


def as_png(figure: Figure) -> bytes:
    """The figure's bytes; the figure is closed. Equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def confusion(contract: ModelContract, result: TableResult) -> Figure:
    """The confusion matrix: counts, and each row's shares as colour."""
    matrix, names = result.measures.matrix, [label.name for label in contract.labels]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = max(3.6, 1.1 * len(names) + 1.6)
    figure, axes = plt.subplots(figsize=(size, size * 0.85))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(False)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="The model said", ylabel="What happened", title="Confusion matrix")
    for row, column in np.ndindex(matrix.shape):
        axes.text(
            column, row, f"{matrix[row, column]:,}\n{shares[row, column]:.1%}", ha="center", va="center",
            color="white" if shares[row, column] > 0.55 else "black",
        )
    return figure


def focus_lines(contract: ModelContract, result: TableResult) -> Iterator[tuple[str, np.ndarray, np.ndarray, str]]:
    """Name, probabilities, what happened and colour of each label in focus that occurs."""
    focus = [label for label in contract.focus if contract.labels[label].name in result.measures.calibration]
    for place, label in enumerate(focus):
        yield (
            contract.labels[label].name, result.measures.probabilities[:, label], result.table.labels == label,
            LINE_COLOURS[place % len(LINE_COLOURS)],
        )


def ranking(contract: ModelContract, result: TableResult) -> Figure | None:
    """ROC and precision against recall."""
    if "auc" not in result.measures.figures:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2))
    for name, said, happened, colour in focus_lines(contract, result):
        false_rate, true_rate, _ = roc_curve(happened, said)
        left.plot(false_rate, true_rate, color=colour, label=name)
        found_precision, found_recall, _ = precision_recall_curve(happened, said)
        right.step(found_recall, found_precision, where="post", color=colour, label=name)
        right.axhline(happened.mean(), color=colour, ls=":", lw=1)
    left.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1)
    figures = result.measures.figures
    left.set(title=f"ROC: area {figures['auc']}", xlabel="False positive rate", ylabel="True positive rate")
    right.set(
        title=f"Average precision {figures['averagePrecision']}", xlabel="Recall", ylabel="Precision", ylim=(0, 1.03),
    )
    right.legend(title="Label (dotted: by chance)", loc="lower left")
    return figure


def calibration(result: TableResult) -> Figure | None:
    """Reliability curves with Wilson's intervals, and where the customers are."""
    if not result.measures.calibration:
        return None
    figure, axes = plt.subplots(figsize=(5.4, 4.6))
    axes.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1)
    for (name, one), colour in zip(result.measures.calibration.items(), LINE_COLOURS * 10):
        said = [bin_.said for bin_ in one.bins]
        happened = np.array([bin_.happened for bin_ in one.bins])
        below = happened - [bin_.low for bin_ in one.bins]
        above = [bin_.high for bin_ in one.bins] - happened
        axes.errorbar(
            said, happened, yerr=np.clip([below, above], 0, None), color=colour, marker="o", ms=4, lw=1.2,
            elinewidth=1, capsize=2,
            label=f"{name}: error {one.error:.3f} (chance alone: up to {one.error_if_calibrated:.3f})",
        )
    axes.set(
        title="Reliability: tenths of the customers", xlabel="Probability that the model gave (mean)",
        ylabel="Share to whom it happened (95 % interval)", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03),
    )
    figure.legend(loc="outside lower center")
    return figure


def gains(contract: ModelContract, result: TableResult) -> Figure | None:
    """Cumulative gains and lift."""
    if not result.measures.gains:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2))
    for name, said, happened, colour in focus_lines(contract, result):
        found = cumulative_gains(said, happened)
        share = np.linspace(0, 1, len(found))
        left.plot(share, found, color=colour, label=name)
        base = happened.mean()
        left.plot([0, base, 1], [0, 1, 1], color=colour, ls=":", lw=1)
        start = max(1, len(found) // 100)
        right.plot(share[start:], found[start:] / share[start:], color=colour, label=name)
    left.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1)
    right.axhline(1, color=GREY, ls=":", lw=1)
    left.set(
        title="Cumulative gains", xlabel="Share of customers, highest probability first",
        ylabel="Share of the label's customers found",
    )
    right.set(title="Lift", xlabel="Share of customers, highest probability first", ylabel="Times as many as by chance")
    right.set_ylim(bottom=0)
    left.legend(title="Dotted: perfect order, chance", loc="lower right")
    return figure


def interval_rows(axes: Axes, names: list[str], rows: list[tuple[float, float, float]], colours: list[str]) -> None:
    """Values with intervals, one row each, the first on top."""
    for place, ((value, low, high), colour) in enumerate(zip(rows, colours, strict=True)):
        axes.plot([low, high], [place, place], color=colour, lw=2, solid_capstyle="butt")
        axes.plot(value, place, "o", color=colour, ms=6)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def segments(result: TableResult) -> Figure | None:
    """F1 by segment with intervals."""
    shown = [one for one in result.segments if one.f1 is not None]
    if not shown:
        return None
    figure, axes = plt.subplots(figsize=(8, 1.3 + ROW_INCHES * len(shown)))
    interval_rows(
        axes, [f"{one.title}  (n = {one.n:,})" for one in shown], [(one.f1, one.low, one.high) for one in shown],
        [ORANGE if one.stands_out else BLUE for one in shown],
    )
    whole = result.measures.figures["f1"].value
    axes.axvline(whole, color=GREY, ls=":", lw=1)
    axes.set(title="F1 by segment", xlabel=f"F1 (dotted: all customers, {whole:.3f}; orange: surely below that)")
    return figure


def importance(found: list[Importance]) -> Figure:
    """Permutation importance."""
    figure, axes = plt.subplots(figsize=(8, 1.3 + ROW_INCHES * len(found)))
    interval_rows(
        axes, [one.title for one in found], [(one.loss, one.least, one.most) for one in found], [BLUE] * len(found),
    )
    axes.axvline(0, color=GREY, lw=1)
    axes.set(title="Permutation importance (line: least and most of ten shufflings)", xlabel="Loss of F1")
    return figure


def seeds(found: SeedScores, result: TableResult) -> Figure:
    """F1 by forest seed, its mean with the interval, and the version itself."""
    figure, axes = plt.subplots(figsize=(8, 2.6))
    axes.axvspan(found.low, found.high, color=BLUE, alpha=0.15, lw=0)
    axes.axvline(found.mean, color=BLUE, lw=1.5)
    own, *others = found.f1_by_seed.values()
    axes.plot(others, np.linspace(-0.3, 0.3, len(others)), "o", color=BLUE, ms=6, label="other seeds")
    axes.plot(own, 0, "D", color=ORANGE, ms=7, label="the version's own seed")
    axes.set_yticks([])
    axes.set_ylim(-1, 1.4)
    axes.set(
        title=f"{len(found.f1_by_seed)} forest seeds: mean F1 {found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]",
        xlabel=f"F1 on {result.title}",
    )
    axes.legend(loc="upper left", ncols=2)
    return figure


def comparison(found: Comparison) -> Figure:
    """Bootstrap of the F1 difference to the version in Production."""
    figure, axes = plt.subplots(figsize=(8, 3))
    axes.hist(found.draws, bins=50, color=BLUE, alpha=0.35)
    axes.axvline(0, color="black", lw=1)
    axes.axvline(found.difference, color=BLUE, lw=1.5)
    for edge in (found.low, found.high):
        axes.axvline(edge, color=BLUE, ls="--", lw=1)
    axes.set_yticks([])
    axes.set(
        title=f"F1 less that of {found.other}: {found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]",
        xlabel="Difference of F1 on the same customers, paired bootstrap",
    )
    return figure
