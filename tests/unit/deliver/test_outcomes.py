"""What each provider's answer means: a table of status and body per provider. Unknown is never accepted."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.deliver.outcomes import DINGTALK, FEISHU, WECOM, by_codes, of_slack, of_teams, of_webhook
from pipeline.sources.http import Answer

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
READERS = {
    "dingtalk": by_codes(DINGTALK),
    "feishu": by_codes(FEISHU),
    "wecom": by_codes(WECOM),
    "slack": of_slack,
    "teams": of_teams,
    "webhook": of_webhook,
}
TOO_OFTEN = {"status": 1111, "wait": 5, "errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}
CONNECTOR = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ..."
TABLE = [
    ("dingtalk", 200, {"errcode": 0, "errmsg": "ok"}, "accepted", None),
    ("dingtalk", 200, {"errcode": 310000, "errmsg": "keywords not in content"}, "permanent", None),
    ("dingtalk", 200, {"errcode": 310000, "errmsg": "sign not match"}, "permanent", None),
    ("dingtalk", 200, {"errcode": 300001, "errmsg": "token is not exist"}, "permanent", None),
    ("dingtalk", 200, {"errcode": 460101, "errmsg": "message too long"}, "permanent", None),
    ("dingtalk", 200, TOO_OFTEN, "retry_after", 600),
    ("dingtalk", 200, {"errcode": -1, "errmsg": "系统繁忙"}, "retry_after", 60),
    ("dingtalk", 200, {"errcode": 987654, "errmsg": "?"}, "transient", None),
    ("dingtalk", 200, {"errcode": "0"}, "transient", None),
    ("dingtalk", 200, {"ok": True}, "transient", None),
    ("dingtalk", 200, "<html>captive portal</html>", "transient", None),
    ("dingtalk", 200, "", "transient", None),
    ("dingtalk", 500, {"errcode": 0}, "transient", None),
    ("dingtalk", 404, "", "permanent", None),
    ("feishu", 200, {"code": 0, "msg": "success", "data": {}}, "accepted", None),
    ("feishu", 200, {"StatusCode": 0, "StatusMessage": "success", "code": 0}, "accepted", None),
    ("feishu", 400, {"code": 19021, "msg": "sign match fail or timestamp is not within one hour"}, "permanent", None),
    ("feishu", 200, {"code": 19024, "msg": "Key Words Not Found"}, "permanent", None),
    ("feishu", 200, {"code": 19022, "msg": "Ip Not Allowed"}, "permanent", None),
    ("feishu", 400, {"code": 9499, "msg": "Bad Request"}, "permanent", None),
    ("feishu", 400, {"code": 9499, "msg": "too many request"}, "retry_after", 60),
    ("feishu", 200, {"code": 11232, "msg": "frequency limited psm"}, "retry_after", 60),
    ("feishu", 200, {"code": 424242, "msg": "?"}, "transient", None),
    ("feishu", 429, "", "retry_after", None),
    ("wecom", 200, {"errcode": 0, "errmsg": "ok"}, "accepted", None),
    ("wecom", 200, {"errcode": 45009, "errmsg": "api freq out of limit"}, "retry_after", 60),
    ("wecom", 200, {"errcode": -1, "errmsg": "system busy"}, "retry_after", 60),
    ("wecom", 200, {"errcode": 93000, "errmsg": "invalid webhook url"}, "permanent", None),
    ("wecom", 200, {"errcode": 40008, "errmsg": "invalid message type"}, "permanent", None),
    ("wecom", 200, {"errcode": 40058, "errmsg": "exceed max length 4096"}, "permanent", None),
    ("wecom", 200, {"errcode": 12345, "errmsg": "?"}, "transient", None),
    ("slack", 200, "ok", "accepted", None),
    ("slack", 200, {"ok": True}, "accepted", None),
    ("slack", 200, "", "transient", None),
    ("slack", 200, "<html>", "transient", None),
    ("slack", 404, "no_service", "permanent", None),
    ("slack", 403, "invalid_token", "permanent", None),
    ("slack", 410, "channel_is_archived", "permanent", None),
    ("slack", 400, "invalid_payload", "permanent", None),
    ("slack", 500, "rollup_error", "transient", None),
    ("slack", 500, "no_service", "permanent", None),
    ("slack", 200, {"ok": False, "error": "invalid_blocks"}, "permanent", None),
    ("slack", 200, {"ok": False, "error": "ratelimited"}, "retry_after", 1),
    ("slack", 429, "rate_limited", "retry_after", 1),
    ("teams", 202, "", "accepted", None),
    ("teams", 200, "1", "accepted", None),
    ("teams", 200, CONNECTOR, "retry_after", 60),
    ("teams", 200, CONNECTOR.replace("429", "413"), "permanent", None),
    ("teams", 200, CONNECTOR.replace("429", "502"), "transient", None),
    ("teams", 200, {"error": {"code": "x"}}, "transient", None),
    ("teams", 401, "", "permanent", None),
    ("teams", 502, "", "transient", None),
]


def answer(status: int, body: object, **headers: str) -> Answer:
    raw = body if isinstance(body, str) else json.dumps(body)
    return Answer(status, headers, raw.encode(), "https://x")


@pytest.mark.parametrize(("provider", "status", "body", "kind", "after"), TABLE)
def test_table(provider: str, status: int, body: object, kind: str, after: float | None) -> None:
    got = READERS[provider](answer(status, body), NOW)
    assert (got.kind, got.after) == (kind, after), got
    assert str(status) in got.reason  # a person sees what was answered


@pytest.mark.parametrize("provider", READERS)
def test_what_every_provider_may_say(provider: str) -> None:
    read = READERS[provider]
    slow = read(answer(429, "", **{"Retry-After": "17"}), NOW)
    assert (slow.kind, slow.after) == ("retry_after", 17)
    busy = read(answer(503, "", **{"Retry-After": "Fri, 02 Jan 2026 03:05:05 GMT"}), NOW)
    assert (busy.kind, busy.after) == ("retry_after", 60)
    assert read(answer(502, ""), NOW).kind == "transient"
    moved = read(answer(302, "", Location="https://elsewhere/"), NOW)
    assert moved.kind == "permanent" and "elsewhere" in moved.reason


@given(code=st.integers(-(10**9), 10**9), message=st.text(max_size=20), status=st.sampled_from([200, 202, 400, 500]))
def test_only_zero_is_accepted(code: int, message: str, status: int) -> None:
    for name, codes in (("dingtalk", DINGTALK), ("feishu", FEISHU), ("wecom", WECOM)):
        got = READERS[name](answer(status, {codes.field: code, codes.message: message}), NOW)
        assert (got.kind == "accepted") == (code == 0 and status < 300)
        if code != 0 and code not in codes.never and got.kind == "permanent":
            raise AssertionError(got)


@given(st.binary(max_size=80))
def test_no_body_breaks_a_reader(body: bytes) -> None:
    for name, read in READERS.items():
        got = read(Answer(200, {}, body, "https://x"), NOW)
        assert got.kind in ("accepted", "transient", "retry_after", "permanent"), name
        if name in ("dingtalk", "feishu", "wecom"):
            assert got.kind != "accepted" or b"0" in body
