"""EDGE_AE_... variables -> tables of settings, as pydantic-settings reads them. Imported only where there is such a variable: the
library takes 3 MB of memory and a tenth of the start, and a daemon under systemd has its settings from the file alone.
"""

from collections.abc import Mapping
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from edge_ae.config.settings import Settings
from edge_ae.config.sources import PREFIX
from edge_ae.errors import BadConfig


class _Environment(BaseSettings, Settings):
    """The same fields, as pydantic-settings finds them in environment variables."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")


def tables_of(variables: Mapping[str, str]) -> dict[str, Any]:
    """What the variables set. Raises BadConfig with one sentence."""
    source = EnvSettingsSource(_Environment)
    source.env_vars = {name.lower(): value for name, value in variables.items()}
    try:
        return source()
    except SettingsError as error:
        raise BadConfig(f"{PREFIX}...: {error}; lists and tables are written as JSON there") from None
