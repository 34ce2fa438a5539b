"""The scaling is the one behind the deployment document's two example rows, to the last bit."""

import numpy as np

from scripts.training.contract import contract_scaling
from scripts.training.preprocess import Table
from scripts.training.split import fit_scaling, split_table

EXAMPLE_RAW = np.array([
    [243, 0, 95.5, 163.7, 264.2, 6.6, 2, 0, 92, 63, 118, 6],
    [108, 0, 112, 193.7, 208.9, 4.1, 4, 0, 105, 110, 93, 4],
])
EXAMPLE_STANDARDISED = np.array([
    [3.601381662065445, -0.584935532922293, -1.5476529221334174, -0.7299871432508589, 1.2558035395167784,
     -1.3007906138024043, 0.31897761002330555, -0.3266240515743332, -0.4296567932454234,
     -1.8408912088049738, 0.9256335994458792, 0.6348485573724065],
    [0.18495105432263856, -0.584935532922293, -1.244013720966101, -0.1380816735819312, 0.16508986969232622,
     -2.1947932578306815, 1.8135194524172118, -0.3266240515743332, 0.22417614376006004,
     0.4998636849042407, -0.35370363388816944, -0.1843703458003117],
])
PUBLISHED_MEAN = [
    100.69167291822956, 7.981245311327832, 179.60071267816954, 200.69849962490622, 200.52981995498874,
    10.237546886721681, 1.5731432858214554, 0.09639909977494374, 100.54276069017254, 99.96324081020255,
    99.9118529632408, 4.450112528132033,
]
PUBLISHED_SCALE = [
    39.51492522460242, 13.644658021464595, 54.34080954161087, 50.68376884028457, 50.70074899574733,
    2.7964123111932606, 1.338202747670462, 0.29513778703772275, 19.882754851016283, 20.078992519170903,
    19.541368255849264, 2.441349915455179,
]


def test_real_table_gives_the_published_scaling(real_table: Table) -> None:
    split = split_table(real_table)
    scaling = fit_scaling(split.train_features)
    assert scaling.mean.tolist() == PUBLISHED_MEAN
    assert scaling.scale.tolist() == PUBLISHED_SCALE
    assert split.train_features[:2].tolist() == EXAMPLE_RAW.tolist()
    assert split.train_labels[:2].tolist() == [0, 1]


def test_committed_contract_standardises_the_examples(committed_contract: dict) -> None:
    scaling = contract_scaling(committed_contract)
    assert scaling.mean.tolist() == PUBLISHED_MEAN
    assert scaling.scale.tolist() == PUBLISHED_SCALE
    assert scaling.apply(EXAMPLE_RAW).tolist() == EXAMPLE_STANDARDISED.tolist()
