"""The command line: parses, builds, calls. No logic of its own."""

import os
import sys


def main() -> None:
    """Entry point of `windvane`. An error is a sentence on standard error and an exit code, never a traceback."""
    from pipeline.errors import Retry, WindvaneError

    try:
        from pipeline.cli.app import app

        app(standalone_mode=True)
    except WindvaneError as e:
        fail(str(e))
    except Retry as e:
        fail(e.reason)
    except BrokenPipeError:  # `windvane export … | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as e:
        if os.environ.get("WINDVANE_DEBUG"):
            raise
        fail(
            f"unexpected error, please report it: {type(e).__name__}: {e}\n"
            "Run again with WINDVANE_DEBUG=1 to see where it happened."
        )


def fail(sentence: str, code: int = 2) -> None:
    """Say it on standard error and leave."""
    sys.stderr.write(f"windvane: {sentence}\n")
    sys.exit(code)
