"""A small made-up table for machines without the churn file. The rule is ours and describes nobody."""

import numpy as np
import pandas as pd

GENERATOR_SEED = 20240601


def generate_table(rows: int = 1200) -> pd.DataFrame:
    """`rows` made-up customers, always the same ones: customer_id, twelve features, churn."""
    rng = np.random.default_rng(GENERATOR_SEED)

    def minutes(mean: float, spread: float) -> np.ndarray:
        return np.round(np.clip(rng.normal(mean, spread, rows), 0, None), 1)

    has_voice_mail = rng.random(rows) < 0.3
    columns = {
        "account_length": rng.integers(1, 240, rows),
        "number_vmail_messages": np.where(has_voice_mail, rng.integers(5, 50, rows), 0),
        "total_day_minutes": minutes(180, 55),
        "total_eve_minutes": minutes(200, 50),
        "total_night_minutes": minutes(200, 50),
        "total_intl_minutes": minutes(10, 3),
        "number_customer_service_calls": rng.poisson(1.6, rows),
        "international_plan": (rng.random(rows) < 0.12).astype(int),
        "total_day_calls": rng.poisson(100, rows),
        "total_eve_calls": rng.poisson(100, rows),
        "total_night_calls": rng.poisson(100, rows),
        "total_intl_calls": rng.poisson(4.5, rows),
    }
    table = pd.DataFrame(columns)
    table.insert(0, "customer_id", [f"G{number:05d}" for number in range(1, rows + 1)])
    table["churn"] = (made_up_dissatisfaction(table) + rng.normal(0, 0.25, rows) > 1).astype(int)
    return table


def made_up_dissatisfaction(table: pd.DataFrame) -> pd.Series:
    """The rule: many service calls, an expensive month, or a little-used international plan."""
    service = 1.2 * (table["number_customer_service_calls"] >= 4) * (table["total_day_minutes"] < 200)
    bill = 1.3 * (table["total_day_minutes"] + 0.5 * table["total_eve_minutes"] > 365)
    plan = 1.1 * table["international_plan"] * (table["total_intl_calls"] <= 3)
    voice_mail = 0.5 * (table["number_vmail_messages"] > 0)
    return service + bill + plan - voice_mail
