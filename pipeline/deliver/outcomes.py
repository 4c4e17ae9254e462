"""What a provider's answer means, read from status and body: the chat services answer 200 with an error code.

One table per provider. A code that is in no table is transient: tried again, never taken for a success.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from pipeline.deliver.base import Outcome
from pipeline.sources.http import Answer, retry_after

Reader = Callable[[Answer, datetime], Outcome]
_SHOWN = 200  # bytes of an answer that a reason quotes
_MINUTE = 60.0  # the limits of Feishu and WeCom are per minute


class Codes(NamedTuple):
    """A provider's error codes. `field`: where the code is; `success`: the codes that mean accepted; `too_fast`: code
    to seconds to wait; `never`: trying again cannot help; `told_fast`: words in the message of an otherwise ambiguous
    code that mean too fast."""

    field: str
    message: str
    too_fast: Mapping[int, float]
    never: frozenset[int]
    told_fast: re.Pattern[str] = re.compile(r"too (many|fast)|frequency|freq out of limit|exceed \d+ times|限流|频")
    success: frozenset[int] = frozenset({0})


# open.dingtalk.com/document/orgapp/custom-robots-send-group-messages: more than 20 a minute and the robot is silenced
# for 10 minutes (130101 "send too fast", 410100). -1: system busy. 310000: bad sign, keyword or address (its text says
# which). 300001, 400101: no such token. 400013: the group is gone. 400102, 400106: the robot is off or gone. 400105,
# 34016, 40035, 460101: the message is not understood or too long. 430101 to 430104: unsafe content.
DINGTALK = Codes(
    "errcode", "errmsg",
    {-1: _MINUTE, 130101: 600.0, 410100: 600.0},
    frozenset({
        310000, 300001, 400101, 400013, 400102, 400105, 400106, 34016, 40035, 43004, 460101,
        430101, 430102, 430103, 430104,
    }),
)  # fmt: skip

# open.feishu.cn/document/client-docs/bot-v3/add-custom-bot: 100 a minute and 5 a second; 11232 under load. 19001: bad
# parameters or token, 19002 the same, 19021: bad sign or clock, 19022: address not allowed, 19024: keyword missing.
# 9499 is both "Bad Request" and "too many request": the text decides. 230020, 99991400: too fast.
FEISHU = Codes(
    "code", "msg",
    {11232: _MINUTE, 230020: _MINUTE, 11233: _MINUTE, 99991400: _MINUTE},
    frozenset({9499, 19001, 19002, 19003, 19021, 19022, 19024, 19036}),
)  # fmt: skip

# developer.work.weixin.qq.com/document/path/91770 (20 a minute) and /90313 (codes): 45009, 45033: too fast, -1: busy,
# 93000: no such webhook, 93008: not in the group, 40008: bad message type, 40058: bad parameter or too long, 44004:
# empty, 45002: too long, 40014, 42001: token.
WECOM = Codes(
    "errcode", "errmsg",
    {-1: _MINUTE, 45009: _MINUTE, 45033: _MINUTE},
    frozenset({93000, 93008, 93017, 40008, 40035, 40058, 44004, 45002, 40014, 42001}),
)  # fmt: skip

# docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: plain words in the body, "ok" for success.
_SLACK_NEVER = frozenset({
    "invalid_payload", "invalid_blocks", "invalid_blocks_format", "invalid_attachments", "too_many_attachments",
    "no_text", "missing_text_or_fallback_or_attachments", "user_not_found", "channel_not_found",
    "channel_is_archived", "action_prohibited", "posting_to_general_channel_denied", "invalid_token", "no_service",
    "no_service_id", "no_team", "no_active_hooks", "team_disabled", "msg_too_long", "msg_blocks_too_long",
})  # fmt: skip


def quoted(answer: Answer) -> str:
    """The answer in words, with the beginning of its body."""
    said = answer.body[:_SHOWN].decode(errors="replace").strip()
    return f"Answered {answer.status}: {said}" if said else f"Answered {answer.status}."


def of_status(answer: Answer, now: datetime) -> Outcome | None:
    """What the status alone decides; None for a 2xx, where the body decides."""
    status = answer.status
    if 200 <= status < 300:
        return None
    wait = retry_after(answer.headers, now)
    if status == 429 or (wait is not None and status == 503):
        asked = "a pause" if wait is None else f"{wait:g} s"
        return Outcome("retry_after", f"Answered {status}, asks for {asked}.", wait)
    if status >= 500 or status in (408, 425):
        return Outcome("transient", quoted(answer), wait)
    if 300 <= status < 400:
        to = answer.headers.get("Location", "nowhere")
        return Outcome("permanent", f"Answered {status}, a redirect to {to}. Set the address to where that leads.")
    return Outcome("permanent", quoted(answer))


def by_codes(codes: Codes) -> Reader:
    """A reader for a provider that answers with an error code."""

    def read(answer: Answer, now: datetime) -> Outcome:
        told = _object(answer.body)
        code = told.get(codes.field) if told is not None else None
        if not isinstance(code, int) or isinstance(code, bool):
            # no code: a proxy or the wrong address answered, not the provider
            return of_status(answer, now) or Outcome("transient", f"{quoted(answer)} That is no {codes.field}.")
        words = str(told.get(codes.message, "")) if told else ""
        if code in codes.success:
            return of_status(answer, now) or Outcome("accepted", quoted(answer))
        if code in codes.too_fast or codes.told_fast.search(words):
            wait = retry_after(answer.headers, now)
            return Outcome("retry_after", quoted(answer), wait or codes.too_fast.get(code, _MINUTE))
        if code in codes.never:
            return Outcome("permanent", quoted(answer))
        return Outcome("transient", quoted(answer))

    return read


def of_slack(answer: Answer, now: datetime) -> Outcome:
    """Only "ok" is accepted."""
    word = answer.body[:_SHOWN].decode(errors="replace").strip()
    told = _object(answer.body) or {}
    error = told.get("error", word)
    if answer.status == 429 or error in ("rate_limited", "ratelimited"):
        return Outcome("retry_after", quoted(answer), retry_after(answer.headers, now) or 1.0)
    if error in _SLACK_NEVER:
        return Outcome("permanent", quoted(answer))
    if (decided := of_status(answer, now)) is not None:
        return decided
    if word == "ok" or told.get("ok") is True:
        return Outcome("accepted", quoted(answer))
    return Outcome("transient", f'{quoted(answer)} Slack says "ok" when it takes a message.')


# learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors: a workflow answers 202 with an empty body; what
# the connectors before it refused came with status 200 and "… returned HTTP error 429 …" in the body.
_TEAMS_ERROR = re.compile(r"HTTP error (\d{3})", re.IGNORECASE)


def of_teams(answer: Answer, now: datetime) -> Outcome:
    """2xx without an error in the body: the workflow took it (whether it posts it, it does not say)."""
    if (decided := of_status(answer, now)) is not None:
        return decided
    told = _object(answer.body) or {}
    if found := _TEAMS_ERROR.search(answer.body[:4000].decode(errors="replace")):
        code = int(found[1])
        kind = "retry_after" if code == 429 else "transient" if code >= 500 or code in (408, 425) else "permanent"
        return Outcome(kind, quoted(answer), _MINUTE if code == 429 else None)  # type: ignore[arg-type]
    if told.get("error") or b"delivery failed" in answer.body[:4000]:
        return Outcome("transient", quoted(answer))
    return Outcome("accepted", quoted(answer))


def of_webhook(answer: Answer, now: datetime) -> Outcome:
    """A webhook of your own: 2xx is accepted unless the body is an object that reports an error, as the chat services
    write it (their webhooks work here too)."""
    if (decided := of_status(answer, now)) is not None:
        return decided
    told = _object(answer.body)
    code = error_code(told) if told is not None else None
    if told is None or code is None:
        return Outcome("accepted", quoted(answer))
    for codes in (DINGTALK, WECOM, FEISHU):
        if codes.field in told and (code in codes.too_fast or code in codes.never):
            return by_codes(codes)(answer, now)
    return Outcome("transient", quoted(answer))


def error_code(told: Mapping[str, Any]) -> int | None:
    """The error in a body that came with a 2xx: its code, −1 when it has none, None when there is no error."""
    for name in ("errcode", "code"):
        code = told.get(name)
        if isinstance(code, int) and not isinstance(code, bool) and code != 0 and not 200 <= code < 300:
            return code
    if told.get("ok") is False or told.get("success") is False or told.get("error"):
        return -1
    return None


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        told = msgspec.json.decode(body) if body.strip() else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
