"""The refusal of a table."""

FAULTS_SHOWN = 50


class TableFaults(ValueError):
    """Every fault of a table, one sentence each in `faults`."""

    def __init__(self, name: str, faults: list[str]):
        shown = faults[:FAULTS_SHOWN]
        if len(faults) > FAULTS_SHOWN:
            shown.append(f"and {len(faults) - FAULTS_SHOWN} more")
        super().__init__("\n  ".join([f"{name}: {len(faults)} fault(s)", *shown]))
        self.faults = faults
