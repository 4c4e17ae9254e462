"""The web page beside a pipeline: composed here, served in a thread of its own."""

import threading
import time
import webbrowser
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from dashboards.app import create_app
from dashboards.deps import WebDeps
from dashboards.security import LOOPBACK_HOSTS, host_name
from dashboards.server import bind, check_host, is_loopback, make_server
from models.taxonomy import TOPICS
from pipeline import dead_letters
from pipeline.compose import Stores, build_explainer
from pipeline.control.holding import held_until
from pipeline.deliver.build import outgoing_channels, page_of, vault_of
from pipeline.deliver.links import action_links
from pipeline.detect.rules import Rule, load_rules
from pipeline.errors import WindvaneError
from pipeline.explaining import OnDemand
from pipeline.naming import KeyNames
from pipeline.prepare.entities import EntityName
from pipeline.previewing import preview
from pipeline.settings import Settings, WebSettings

Mode = Literal["live", "replay", "demo"]
_START_S = 20.0
# Texts that one preview on the page may read. 60 000 made-up ones on some 900 keys took 157 MiB and 33 s of one core,
# 2 KB for each further one (the detector's notes): so this many stay under 300 MB.
PREVIEW_MOST = 100_000


class Page:
    """The page on its own thread. `url` is where it is."""

    def __init__(self, deps: WebDeps, web: WebSettings, *, allow_remote: bool = False) -> None:
        check_host(web.host, allow_remote)
        self._socket = bind(web.host, web.port)
        self._server = make_server(create_app(deps))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        shown = "127.0.0.1" if web.host in ("0.0.0.0", "::") else web.host
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{self._socket.getsockname()[1]}/"

    def start(self, *, open_page: bool = False) -> None:
        """Return when the page answers."""
        self._thread.start()
        until = time.monotonic() + _START_S
        while not self._server.started:
            if time.monotonic() > until or not self._thread.is_alive():
                raise WindvaneError(
                    f"the page did not start at {self.url} within {_START_S:.0f} s. Try another --port."
                )
            time.sleep(0.02)
        if open_page:
            webbrowser.open(self.url)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()


def web_deps(
    stores: Stores, names: Mapping[str, EntityName], mode: Mode, settings: Settings, **more: Callable[[], Any]
) -> WebDeps:
    """What the web app is given. `more` adds fields to its status, each asked for when the status is."""

    def status() -> dict[str, Any]:
        return {
            "mode": mode,
            "lag": {n.name: stores.bus.lag(n.group, n.reads) for n in stores.nodes},
            "dead_letters": sum(dead_letters.counts(stores.bus, stores.control).values()),
            "rules_held_until": _iso(held_until(stores.control)),
            **{name: ask() for name, ask in more.items()},
        }

    vault = vault_of(settings)
    page = page_of(settings.deliver, f"http://{settings.web.host}:{settings.web.port}")
    return WebDeps(
        store=stores.opinions,
        control=stores.control,
        bus=stores.bus,
        names=names,
        topics={t.id: (t.en, t.zh) for t in TOPICS},
        status=status,
        clock=stores.clock,
        explain=OnDemand(lambda: build_explainer(settings.model)),
        actions=action_links(vault, page),
        outgoing=outgoing_channels(settings.deliver, stores.clock, vault),
        vault=vault,
        page=page,
        preview=_preview(stores, names),
        rules=load_rules(settings.rules),
        hosts=_hosts(settings),
    )


def _iso(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def _preview(stores: Stores, names: Mapping[str, EntityName]) -> Callable[[Rule, int], dict[str, Any]]:
    """pipeline.previewing.preview over these stores, with at most PREVIEW_MOST texts."""
    key_names = KeyNames(names, stores.control.watches)
    sectors = {entity: name.sector for entity, name in names.items() if name.sector}
    return lambda rule, days: preview(rule, stores.opinions, days, key_names, sectors, PREVIEW_MOST)


def _hosts(settings: Settings) -> frozenset[str] | None:
    """This machine's own names and, behind a proxy, the public one; any where the page is meant to be reached."""
    if not is_loopback(settings.web.host):
        return None
    public = urlsplit(settings.deliver.page or "").netloc
    return LOOPBACK_HOSTS | ({host_name(public)} if public else frozenset())
