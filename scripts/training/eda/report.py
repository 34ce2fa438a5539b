"""The report: figures and drawings of the training part in one HTML page that needs no other file."""

from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from scripts.training.catalogue import Catalogue
from scripts.training.eda import figures as drawings
from scripts.training.eda.tables import (
    correlated_pairs, feature_figures, rank_correlations, repeated_rows, simple_rules,
)
from scripts.training.preprocess import Table
from scripts.training.split import Split

TEMPLATE = "report.html"
SUSPICIOUS = 0.9


def eda_report(table: Table, split: Split, catalogue: Catalogue) -> str:
    """The page. The held-out part is counted in it, and not looked at."""
    ranked = feature_figures(split, catalogue)
    correlations = rank_correlations(split)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True,
    )
    drawn = {
        "label_counts": drawings.label_counts(split, catalogue),
        "shares": drawings.shares(ranked, split, catalogue),
        "distributions": drawings.distributions(ranked, split, catalogue),
        "correlation_map": drawings.correlation_map(correlations, catalogue),
    }
    if sum(one.distinct > 2 for one in ranked) > 1:
        drawn["strongest_pair"] = drawings.strongest_pair(ranked, split, catalogue)
    return environment.get_template(TEMPLATE).render(
        table=table,
        split=split,
        catalogue=catalogue,
        ranked=ranked,
        most_information=max(one.information for one in ranked) or 1,
        suspicious=[one for one in ranked if one.alone >= SUSPICIOUS],
        pairs=correlated_pairs(correlations, catalogue),
        repeated=repeated_rows(split),
        by_code=sorted(catalogue.labels, key=lambda label: label.code),
        rarest=min(int(np.sum(split.train_labels == label.code)) for label in catalogue.labels),
        rules=simple_rules(split, catalogue),
        drawn={name: Markup(drawing) for name, drawing in drawn.items()},
    )
