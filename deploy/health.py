"""The container's health check: `python health.py URL` ends with 0 when the URL answers 200, else with 1 and says why.

Standard library only: it runs every few seconds beside the worker.
"""

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 5.0


def why_not(url: str) -> str | None:
    """None when the URL answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return None if answer.status == 200 else f"expected 200 from {url}, found {answer.status}"
    except urllib.error.HTTPError as e:
        return f"expected 200 from {url}, found {e.code}: {e.read(300).decode('utf-8', 'replace')}"
    except (OSError, ValueError) as e:
        return f"{url} does not answer: {e}"


if __name__ == "__main__":
    wrong = why_not(sys.argv[1])
    if wrong:
        sys.exit(wrong)
