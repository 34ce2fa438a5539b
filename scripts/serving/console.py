"""What server 2 prints."""


def say(line: str) -> None:
    """A line that is seen at once, also through a pipe."""
    print(line, flush=True)
