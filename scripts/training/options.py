"""What a training run is asked to do."""

from dataclasses import dataclass
from pathlib import Path

from scripts.training.catalogue import CHURN_CATALOGUE
from scripts.training.golden_rows import SAMPLED_ROWS
from scripts.training.sql_source import MAX_ROWS

STUDY_FILE = "study.db"


@dataclass(frozen=True)
class TrainingOptions:
    """`parameters_from` is an earlier contract instead of a search; `query` the SELECT for a database.

    `study` is the file or URL of the search's database, None for study.db in `out`; `accept` names features that
    the check for leaks suspects.
    """

    data: str
    tracking_uri: str
    out: Path
    catalogue: Path = CHURN_CATALOGUE
    query: Path | None = None
    max_rows: int = MAX_ROWS
    drop_incomplete: bool = False
    accept: tuple[str, ...] = ()
    trials: int = 50
    study: str | None = None
    parameters_from: Path | None = None
    model_name: str = "rfc_tune"
    register: bool = True
    seed: int = 42
    golden_samples: int = SAMPLED_ROWS

    @property
    def storage(self) -> str:
        """The URL of the search's database."""
        study = self.study or str(self.out / STUDY_FILE)
        return study if "://" in study else f"sqlite:///{study}"
