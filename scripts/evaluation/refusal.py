"""What cannot be done."""


class Refused(ValueError):
    """Why a version, a table or a store cannot be used, in one sentence."""
