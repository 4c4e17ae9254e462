"""The one place that knows the elasticsearch client: requests in bytes, answers in bytes, errors as Windvane's.

The client gives the pool of connections, TLS, keys and the version headers; bodies pass through it untouched, so that
what msgspec built is not built again, and what the server says is decoded once, by the type that reads it.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, NoReturn

import msgspec

from pipeline.errors import Retry, WindvaneError
from pipeline.settings import ElasticsearchSettings

try:
    from elastic_transport import ConnectionError as NoConnection
    from elastic_transport import Serializer, TlsError, TransportError
    from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError
except ImportError as e:
    raise WindvaneError(
        "elasticsearch.url is set, but the Elasticsearch client is not installed. "
        "Install it with `pip install windvane[elasticsearch]`."
    ) from e

JSON = "application/json"
NDJSON = "application/x-ndjson"
BUSY = frozenset({429, 500, 502, 503, 504})
OLDEST = (8, 19)

_ENV = "WINDVANE_ELASTICSEARCH__"


class Busy(Retry):
    """The server answered that it cannot now (429 or 5xx): worth asking again soon."""


class Refused(WindvaneError):
    """The server will never take this request."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class Answer(NamedTuple):
    """What the server said."""

    status: int
    body: bytes


class _Bytes(Serializer):
    """Bytes in, bytes out."""

    def dumps(self, data: bytes) -> bytes:
        return data

    def loads(self, data: bytes) -> bytes:
        return data


_MIMETYPES = [JSON, NDJSON, "application/vnd.elasticsearch+json", "application/vnd.elasticsearch+x-ndjson"]


class Connection:
    """Requests to one cluster. Safe to share between threads; nothing is sent before the first request."""

    def __init__(self, settings: ElasticsearchSettings) -> None:
        if not settings.url:
            raise WindvaneError(
                f"expected the address of Elasticsearch in elasticsearch.url ({_ENV}URL), found none. "
                "Give one such as http://localhost:9200."
            )
        self._settings = settings
        self._hosts = [url.strip() for url in settings.url.split(",") if url.strip()]
        try:
            self._client = Elasticsearch(self._hosts, **_options(settings, self._hosts))
        except (ValueError, OSError) as e:
            raise WindvaneError(
                f"expected addresses such as https://host:9200 in elasticsearch.url and a readable "
                f"elasticsearch.ca_file, found {settings.url} and {settings.ca_file}: {e}. Correct them."
            ) from e

    @property
    def address(self) -> str:
        """For sentences; without what could be secret in it."""
        return ", ".join(re.sub(r"//[^/@]*@", "//", host) for host in self._hosts)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        allow: Collection[int] = (),
    ) -> Answer:
        """The answer, when its status is 2xx or in `allow`. `body`: bytes are sent as they are (a bulk body when the
        path ends with _bulk), anything else as JSON. Raises Busy, Retry (no connection), Refused or, when the server
        does not let us in, a WindvaneError that names the setting."""
        headers = {"accept": JSON}
        if body is not None:
            headers["content-type"] = NDJSON if path.endswith("_bulk") else JSON
            if not isinstance(body, bytes):
                body = msgspec.json.encode(body)
        try:
            answer = self._client.perform_request(method, path, params=params, headers=headers, body=body)
        except UnsupportedProductError as e:
            raise WindvaneError(
                f"expected Elasticsearch at {self.address}, found another server. Correct elasticsearch.url."
            ) from e
        except ApiError as e:
            if e.meta.status in allow:
                return Answer(e.meta.status, e.body)
            self._explain(method, path, e.meta.status, reason_of(e.body))
        except TlsError as e:
            raise WindvaneError(
                f"the certificate of Elasticsearch at {self.address} cannot be trusted: {e.message}. Give the "
                "authority that signed it in elasticsearch.ca_file; on a machine of your own, set "
                "elasticsearch.verify = false."
            ) from e
        except NoConnection as e:
            raise Retry(
                f"no connection to Elasticsearch at {self.address}: {e.message}. Is it running, is elasticsearch.url "
                "right, and is https used where the server asks for it?"
            ) from e
        except TransportError as e:
            raise Retry(f"Elasticsearch at {self.address} did not answer {method} {path}: {e.message}") from e
        return Answer(answer.meta.status, answer.body)

    def version(self) -> str:
        """The server's version; raises WindvaneError for one that this Windvane does not work with."""
        found = msgspec.json.decode(self.request("GET", "/").body)["version"]["number"]
        numbers = tuple(int(n) for n in re.findall(r"\d+", found)[:2])
        if not OLDEST <= numbers < (10, 0):
            raise WindvaneError(
                f"expected Elasticsearch {OLDEST[0]}.{OLDEST[1]} or 9.x at {self.address}, found {found}. "
                "Upgrade the server, or name another one in elasticsearch.url."
            )
        return str(found)

    def close(self) -> None:
        self._client.close()

    def _explain(self, method: str, path: str, status: int, reason: str) -> NoReturn:
        if status in BUSY:
            raise Busy(f"Elasticsearch at {self.address} is not ready ({status} to {method} {path}): {reason}")
        if status == 401:
            raise WindvaneError(f"Elasticsearch at {self.address} does not let us in (401): {self._let_in()}")
        if status == 403:
            raise WindvaneError(
                f"Elasticsearch at {self.address} does not allow {method} {path} (403): {reason}. Give {self._who()} "
                f"the cluster privileges monitor and manage_index_templates, and all on {self._settings.index}*; "
                "to read only, read and view_index_metadata are enough."
            )
        raise Refused(f"Elasticsearch at {self.address} refused {method} {path} ({status}): {reason}", status)

    def _let_in(self) -> str:
        if self._settings.api_key is not None:
            return (
                f"the key in elasticsearch.api_key ({_ENV}API_KEY) is wrong, expired or withdrawn. Give a new one, as "
                "`encoded` in the server's answer when it was made."
            )
        if self._settings.username is not None:
            return (
                f"the name or password in elasticsearch.username and elasticsearch.password ({_ENV}USERNAME, "
                f"{_ENV}PASSWORD) is wrong. Correct them, or give elasticsearch.api_key."
            )
        return (
            f"it asks who we are. Give elasticsearch.api_key ({_ENV}API_KEY), or elasticsearch.username and .password."
        )

    def _who(self) -> str:
        if self._settings.api_key is not None:
            return "the key in elasticsearch.api_key"
        return f"the user {self._settings.username}" if self._settings.username else "this user"


def reason_of(body: Any) -> str:
    """The reason in an error's body, in the server's words."""
    try:
        error = msgspec.json.decode(body)["error"]
    except (msgspec.DecodeError, TypeError, KeyError):
        return body.decode("utf-8", "replace")[:300] if isinstance(body, bytes) else str(body)[:300]
    return error if isinstance(error, str) else explain(error)


def explain(error: Mapping[str, Any]) -> str:
    """An error object as one line: "type: reason; cause"."""
    said = [f"{error.get('type')}: {error.get('reason')}"]
    cause = error.get("caused_by")
    while isinstance(cause, Mapping):
        said.append(str(cause.get("reason")))
        cause = cause.get("caused_by")
    return "; ".join(said)


def _options(settings: ElasticsearchSettings, hosts: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "request_timeout": settings.timeout_s,
        # another host may answer; the same one again is the caller's to decide, who also waits in between
        "max_retries": len(hosts) - 1,
        "retry_on_status": (),
        "serializers": {mimetype: _Bytes() for mimetype in _MIMETYPES},
    }
    if settings.api_key is not None:
        options["api_key"] = settings.api_key.get_secret_value()
    elif settings.username is not None:
        password = settings.password.get_secret_value() if settings.password else ""
        options["basic_auth"] = (settings.username, password)
    if any(host.startswith("https:") for host in hosts):
        options["verify_certs"] = settings.verify
        if not settings.verify:
            options["ssl_show_warn"] = False
        elif settings.ca_file is not None:
            settings.ca_file.open("rb").close()  # the client would say so at the first request only
            options["ca_certs"] = str(settings.ca_file)
    return options
