"""The report that people read: one HTML file with its figures inside."""

import base64
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.evaluation.evaluate import Evaluation

TEMPLATE = "report.html.jinja"
FIGURE_TITLES = {
    "f1": "F1", "precision": "Precision", "recall": "Recall", "accuracy": "Accuracy", "auc": "Area under ROC",
    "averagePrecision": "Average precision", "brier": "Brier score (0 is best)",
}


def write_report(evaluation: Evaluation, figures: dict[str, bytes], now: datetime) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    contract = evaluation.version.contract
    return environment.get_template(TEMPLATE).render(
        evaluation=evaluation, version=evaluation.version, contract=contract, titles=FIGURE_TITLES,
        focus=focus_in_words(evaluation), now=now.strftime("%Y-%m-%d %H:%M UTC"),
        figures={name: base64.b64encode(png).decode() for name, png in figures.items()},
    )


def focus_in_words(evaluation: Evaluation) -> str:
    """What F1 and its like are about."""
    contract = evaluation.version.contract
    if contract.positive is None:
        return f"the mean over the labels {', '.join(label.name for label in contract.labels)} (macro)"
    label = contract.labels[contract.positive]
    return f"the label {label.name} ({label.code})"
