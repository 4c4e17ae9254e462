"""The channels that need nobody else: the log, and the web page (which reads the control store itself)."""

from typing import Any

import structlog

from pipeline.deliver.base import Message, Outcome


class LogChannel:
    """One log line per alert event."""

    def __init__(self, log: Any = None) -> None:
        self._log = log or structlog.get_logger("windvane.alert")

    async def send(self, message: Message) -> Outcome:
        alert = message.alert
        self._log.warning(
            message.text,
            event_kind=message.event,
            key=alert.key,
            severity=alert.severity,
            ratio=round(alert.evidence.ratio, 1),
            alert_id=alert.alert_id,
            link=message.link,
        )
        return Outcome("accepted", "Logged.")


class WebChannel:
    """Nothing to send: the alert is on the page as soon as it is recorded."""

    async def send(self, message: Message) -> Outcome:
        return Outcome("accepted", "On the page.")
