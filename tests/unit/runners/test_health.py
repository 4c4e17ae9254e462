"""A worker says how it is, and counts what it does."""

import json
import urllib.error
import urllib.request

import pytest

from pipeline.errors import WindvaneError
from pipeline.runners.health import STUCK_S, HealthServer, Watched


class Loop:
    def __init__(self) -> None:
        self.waiting = ""
        self.todo = [3, 0]

    def step(self) -> int:
        return self.todo.pop(0)

    def run(self) -> None:
        while self.todo:
            self.step()


@pytest.fixture
def served():
    loop, now = Loop(), [0.0]
    server = HealthServer(0, Watched("index", loop, ticks=lambda: now[0]))
    yield loop, now, f"http://127.0.0.1:{server.port}"
    server.close()


def ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_steps_are_counted_for_prometheus(served):
    loop, _, url = served
    loop.run()
    status, text = ask(f"{url}/metrics")
    assert status == 200
    assert 'windvane_messages_total{stage="index"} 3.0' in text
    assert 'windvane_batch_seconds_count{stage="index"} 1.0' in text
    assert 'windvane_waiting{stage="index"} 0.0' in text


def test_stuck_is_unwell_and_waiting_out_an_outage_is_not(served):
    loop, now, url = served
    loop.run()
    assert ask(f"{url}/health")[0] == 200
    now[0] = STUCK_S + 1
    status, body = ask(f"{url}/health")
    assert (status, json.loads(body)["status"]) == (503, "stuck")
    loop.waiting = "no answer from Elasticsearch"
    status, body = ask(f"{url}/health")
    assert (status, json.loads(body)["waiting"]) == (200, "no answer from Elasticsearch")
    assert 'windvane_waiting{stage="index"} 1.0' in ask(f"{url}/metrics")[1]
    assert ask(f"{url}/other")[0] == 404


def test_a_port_in_use_is_a_sentence(served):
    port = int(served[2].rsplit(":", 1)[1])
    with pytest.raises(WindvaneError, match=f"port {port} to be free"):
        HealthServer(port, Watched("index", Loop()))
