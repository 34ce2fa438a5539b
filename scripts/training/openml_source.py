"""OpenML's "churn" (5,000 rows), downloaded when it is asked for."""

import pandas as pd
from sklearn.datasets import fetch_openml

from scripts.training.catalogue import read_catalogue

OPENML_DATA_ID = 40701


def fetch_openml_churn() -> pd.DataFrame:
    """The table with the columns of the churn catalogue; customer ids are row numbers."""
    catalogue = read_catalogue()
    table = fetch_openml(data_id=OPENML_DATA_ID, as_frame=True, parser="auto").frame
    table = table.rename(columns={"class": catalogue.label_column})
    table[catalogue.id_column] = [f"C{number:05d}" for number in range(1, len(table) + 1)]
    return table.reindex(columns=list(catalogue.columns))
