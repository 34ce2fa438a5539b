"""How made-up customers pay, as CSV: `python -m scripts.tests.payment_model.table FILE`."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

GENERATOR_SEED = 20241125
CATALOGUE_FILE = Path(__file__).with_name("catalogue.json")


def generate_payments(rows: int = 1500) -> pd.DataFrame:
    """`rows` customers, always the same ones: account, seven features, payment."""
    rng = np.random.default_rng(GENERATOR_SEED)
    table = pd.DataFrame({
        "account": [f"P{number:05d}" for number in range(1, rows + 1)],
        "open_invoices": rng.poisson(2.2, rows),
        "mean_days_overdue": np.round(np.clip(rng.normal(6, 9, rows), -20, None), 1),
        "mean_order_value": np.round(rng.lognormal(6, 0.8, rows), 2),
        "credit_used": np.round(rng.beta(2, 3, rows), 3),
        "years_customer": rng.integers(0, 25, rows),
        "rating_class": rng.choice([1, 2, 3, 5], rows),
        "pays_by_direct_debit": (rng.random(rows) < 0.4).astype(int),
    })
    table["payment"] = np.array(["on_time", "late", "never"])[np.digitize(made_up_risk(table, rng), [0.9, 2.0])]
    return table


def made_up_risk(table: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """The rule: overdue invoices, used-up credit and a bad rating, less a direct debit and long acquaintance."""
    return (
        0.25 * table["open_invoices"] + 0.06 * table["mean_days_overdue"].clip(lower=0) + 1.4 * table["credit_used"]
        + 0.2 * table["rating_class"] - 0.9 * table["pays_by_direct_debit"] - 0.04 * table["years_customer"]
        + rng.normal(0, 0.2, len(table))
    ).to_numpy()


if __name__ == "__main__":
    generate_payments().to_csv(sys.argv[1], index=False)
