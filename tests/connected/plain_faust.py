"""`python -m tests.connected.plain_faust SERVERS TOPIC OUT`: a Faust agent as the Faust manual writes it, over
batches of take(). Appends the numbers it has worked on to the file OUT; number 500 makes it raise.

The counter-example to runners/faust_app.py: take() acknowledges a batch in `finally`, also when the agent raised.
"""

import sys
from pathlib import Path
from typing import Any

import faust

BATCH = 50
POISON = 500


def build(servers: str, name: str, out: Path) -> faust.App:
    app = faust.App(
        name, broker=f"kafka://{servers}", consumer_auto_offset_reset="earliest", topic_allow_declare=False,
        topic_disable_leader=True, web_enabled=False, broker_commit_interval=0.5, store="memory://",
        broker_session_timeout=10.0, datadir=str(out.parent / f"{name}-data"),
    )  # fmt: skip
    topic = app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(topic)
    async def work(stream: Any) -> None:
        async for batch in stream.take(BATCH, within=1):
            numbers = [int(value) for value in batch]
            if POISON in numbers:
                raise ValueError(f"{POISON} cannot be worked on")
            with out.open("a") as file:
                file.writelines(f"{n}\n" for n in numbers)

    return app


if __name__ == "__main__":
    app = build(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    sys.argv = [sys.argv[0], "worker", "-l", "warn", "--without-web"]
    app.main()
