"""One frozen Settings, built in the command line and handed down in pieces. No other module reads the environment.

Order: command-line options > environment (WINDVANE_WEB__PORT=…) > secrets folder > windvane.toml > the defaults here.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PrepareSettings(_Part):
    """Cleaning, stories, entities."""

    aliases: Path | None = None  # a CSV of your own, beside the built-in table
    max_text_bytes: int = Field(default=1_000_000, ge=1000)
    naive_times: str = "UTC"  # the zone of published times that name none, e.g. Asia/Shanghai
    story_window: int = Field(default=50_000, ge=1)  # how many recent texts a near-duplicate is looked for in
    story_similarity: float = Field(default=0.7, gt=0, le=1)  # Jaccard of shingles at which two texts are one story


class ModelSettings(_Part):
    """The classifier."""

    path: Path | None = None  # a release folder; None: the one that ships
    engine: Literal["auto", "onnxruntime", "torch"] = "auto"
    precision: Literal["auto", "fp32", "int8", "bf16"] = "auto"
    threads: int = Field(default=0, ge=0)  # 0: one per core
    cache: Path = Field(default_factory=lambda: Path.home() / ".cache" / "windvane")  # graphs built from the weights


class WebSettings(_Part):
    """The page and its API."""

    host: str = "127.0.0.1"
    port: int = Field(default=8710, ge=0, le=65535)


class FeedSettings(_Part):
    """How feeds are polled; which ones is in feeds.toml."""

    contact: str | None = None  # a page or mail address that feed owners can reach you at, sent with every request
    allow_private: bool = False  # let a feed be on this machine or network (SSRF guard off)


class SmtpSettings(_Part):
    """The mail server that e-mail goes through."""

    host: str | None = None  # without it there is no e-mail
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"  # tls: from the first byte (port 465)
    username: str | None = None
    password: SecretStr | None = None
    sender: str = "Windvane <windvane@localhost>"  # the From address
    timeout_s: float = Field(default=20.0, gt=0)


class DeliverSettings(_Part):
    """Where alerts go besides the page and the log."""

    webhook: str | None = None
    webhook_secret: SecretStr | None = None  # signs the webhook: "whsec_<base64>" or any text
    webhook_allow_private: bool = False  # let webhooks be on this machine or network (SSRF guard off)
    language: Literal["en", "zh"] = "en"
    secret_key: SecretStr | None = None  # seals addresses and signs links; from `windvane secret-key`; several: new,old
    page: str | None = None  # where people reach the page, for the links in messages, e.g. https://windvane.example
    dispatchers: int = Field(default=1, ge=1)  # how many processes deliver: each keeps to its share of the rates
    smtp: SmtpSettings = SmtpSettings()


class LogSettings(_Part):
    """The log in the data folder, as long as everything is embedded. What is not done yet stays however old it is."""

    retention_days: int = Field(default=7, ge=1)  # of texts under way; dead letters, alerts and feedback stay
    opinion_retention_days: int = Field(default=90, ge=1)  # of opinions: the detector is rebuilt from them


class KafkaSettings(_Part):
    """The bus of the distributed run. Without `servers`, everything is embedded."""

    servers: str | None = None  # host:port, several with commas
    prefix: str = "windvane."  # of every topic and group, so that several Windvanes share a cluster
    partitions: int = Field(default=6, ge=1)  # of the topics that many workers share: the most workers of a stage
    replication: int = Field(default=1, ge=1)
    retention_days: int = Field(default=7, ge=1)  # of texts under way; dead letters, alerts and feedback stay
    opinion_retention_days: int = Field(default=90, ge=1)  # of opinions: `windvane reindex` reads them
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password: SecretStr | None = None


class ElasticsearchSettings(_Part):
    """The opinion store of the distributed run."""

    url: str | None = None  # several with commas
    index: str = "windvane-opinions"  # the alias; its months are <alias>-2026.11
    shards: int = Field(default=1, ge=1)
    replicas: int = Field(default=0, ge=0)
    retention_months: int = Field(default=0, ge=0)  # whole months kept besides the running one; 0: all
    api_key: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    verify: bool = True  # the server's certificate
    timeout_s: float = Field(default=30.0, gt=0)


class PostgresSettings(_Part):
    """The control store of the distributed run."""

    url: SecretStr | None = None  # postgresql://user:password@host:port/database


class WorkerSettings(_Part):
    """What the workers of the distributed run share."""

    order_patience_s: float = Field(default=60.0, ge=0)  # how long a stuck partition holds back the order of the others
    idle_s: float = Field(default=30.0, gt=0)  # after so long with nothing under way, the last open bins are closed


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="WINDVANE_",
        env_nested_delimiter="__",
        toml_file="windvane.toml",
        frozen=True,
        extra="ignore",
    )

    data_dir: Path = Path("windvane-data")
    prepare: PrepareSettings = PrepareSettings()
    model: ModelSettings = ModelSettings()
    web: WebSettings = WebSettings()
    feeds: FeedSettings = FeedSettings()
    deliver: DeliverSettings = DeliverSettings()
    log: LogSettings = LogSettings()
    kafka: KafkaSettings = KafkaSettings()
    elasticsearch: ElasticsearchSettings = ElasticsearchSettings()
    postgres: PostgresSettings = PostgresSettings()
    worker: WorkerSettings = WorkerSettings()
    rules: Path | None = None  # a YAML file of alert rules; None: the built-in negative_spike
    log_format: Literal["text", "json"] = "text"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, file_secret_settings, TomlConfigSettingsSource(settings_cls)
