"""Forests as ONNX, with what scikit-learn says of them: `python forests.py FOLDER [CHURN_CSV]`."""

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.training.acquire import acquire  # noqa: E402
from scripts.training.catalogue import read_catalogue  # noqa: E402
from scripts.training.contract import CONTRACT_FILE, contract_scaling, read_contract  # noqa: E402
from scripts.training.forest import fit_forest  # noqa: E402
from scripts.training.onnx_export import export_onnx  # noqa: E402
from scripts.training.preprocess import preprocess  # noqa: E402
from scripts.training.split import split_table  # noqa: E402
from scripts.training.synthetic_rows import sample_rows  # noqa: E402

CONFIG = Path(__file__).resolve().parents[2] / "config" / "rfc_tune"


def write(folder: Path, name: str, forest: RandomForestClassifier, rows: np.ndarray) -> None:
    """`name`.onnx and `name`.json: the rows, scikit-learn's labels of them and its probabilities."""
    (folder / f"{name}.onnx").write_bytes(export_onnx(forest, name))
    answer = {
        "vectors": rows.tolist(),
        "classes": forest.classes_.tolist(),
        "labels": forest.predict(rows).tolist(),
        "probabilities": forest.predict_proba(rows).tolist(),
    }
    (folder / f"{name}.json").write_text(json.dumps(answer))


def generated(classes: list, depth: int | None, rng: np.random.Generator) -> tuple[RandomForestClassifier, np.ndarray]:
    """A forest of five features whose classes cannot be told apart for certain."""
    rows = rng.normal(size=(2_000, 5))
    noisy = rows[:, 0] + 0.5 * rows[:, 1] * rows[:, 2] + rng.normal(scale=0.4, size=len(rows))
    edges = np.quantile(noisy, np.linspace(0, 1, len(classes) + 1)[1:-1])
    labels = np.array(classes)[np.searchsorted(edges, noisy)]
    forest = RandomForestClassifier(31, max_depth=depth, random_state=5).fit(rows, labels)
    return forest, np.concatenate([rows, rng.normal(scale=3, size=(2_000, 5))])


def main() -> None:
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(3)
    write(folder, "three words", *generated(["high", "low", "middle"], None, rng))
    write(folder, "two words", *generated(["no", "yes"], 6, rng))
    write(folder, "four numbers", *generated([3, 5, 8, 13], 9, rng))
    if len(sys.argv) > 2:
        contract = read_contract(CONFIG / CONTRACT_FILE)
        catalogue, scaling = read_catalogue(), contract_scaling(contract)
        table = preprocess(acquire(sys.argv[2]), catalogue)
        split = split_table(table)
        forest = fit_forest(contract["training"]["parameters"], scaling.apply(split.train_features), split.train_labels)
        rows = np.concatenate([table.features, sample_rows(catalogue, rng, 20_000, split.train_features)])
        write(folder, "churn", forest, scaling.apply(rows))


main()
