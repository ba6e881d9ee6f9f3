"""A real Home Assistant Core as a process: its own folder of settings, one owner with a token made beforehand, MQTT, no internet."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.conftest import free_port, wait_for

ROOT = Path(__file__).parents[2]
OURS = ROOT / "out" / "homeassistant" / "bin" / "hass"
HASS = os.environ.get("HASS") or (str(OURS) if OURS.exists() else shutil.which("hass"))
START_S = 120.0

# The keys that Home Assistant knows, of those that we use; that they are its own is tested where it is installed.
_COMMON = {"availability", "availability_mode", "default_entity_id", "entity_category", "icon", "name", "unique_id"}
_STATE = _COMMON | {"json_attributes_topic", "json_attributes_template", "qos", "state_topic", "value_template"}
KNOWN: dict[str, set[str]] = {
    "device": {"identifiers", "manufacturer", "model", "name", "sw_version", "via_device"},
    "origin": {"name", "sw"},
    "binary_sensor": _STATE | {"device_class", "payload_off", "payload_on"},
    "sensor": _STATE | {"device_class", "expire_after", "options", "state_class", "suggested_display_precision"},
    "event": _STATE | {"event_types"},
    "button": _COMMON | {"command_topic", "payload_press", "qos"},
    "select": _STATE | {"command_template", "command_topic", "options"},
    "text": _STATE | {"command_template", "command_topic", "max"},
    "switch": _STATE | {"command_topic", "payload_off", "payload_on", "state_off", "state_on"},
}
SINCE_2025_10 = {"default_entity_id"}

USER, TOKEN, KEY = "a" * 32, "b" * 32, "c" * 128
SINCE = "2026-01-01T00:00:00+00:00"
GROUPS = {"system-admin": "Administrators", "system-users": "Users", "system-read-only": "Read Only"}


def _auth() -> dict[str, Any]:
    user = {"id": USER, "group_ids": ["system-admin"], "is_owner": True, "is_active": True, "name": "owner"}
    token = {
        "id": TOKEN,
        "user_id": USER,
        "client_id": None,
        "client_name": "tests",
        "client_icon": None,
        "token_type": "long_lived_access_token",
        "created_at": SINCE,
        "access_token_expiration": 1e9,
        "token": "d" * 128,
        "jwt_key": KEY,
    }
    return {
        "users": [user | {"system_generated": False, "local_only": False}],
        "groups": [{"id": identity, "name": name} for identity, name in GROUPS.items()],
        "credentials": [],
        "refresh_tokens": [token],
    }


def _entries(broker_port: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "created_at": SINCE,
        "modified_at": SINCE,
        "data": {"broker": "127.0.0.1", "port": broker_port, "discovery": True, "discovery_prefix": "homeassistant"},
        "disabled_by": None,
        "discovery_keys": {},
        "domain": "mqtt",
        "entry_id": "01JA0000000000000000000000",
        "minor_version": 2,
        "options": {},
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "user",
        "subentries": [],
        "title": "mqtt",
        "unique_id": None,
        "version": 1,
    }
    return {"entries": [entry]}


def _bearer() -> str:
    """A token as Home Assistant signs them (JWT, HS256)."""

    def encoded(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    now = int(time.time())
    claims = json.dumps({"iss": TOKEN, "iat": now, "exp": now + 10**8}).encode()
    body = encoded(b'{"alg":"HS256","typ":"JWT"}') + b"." + encoded(claims)
    return (body + b"." + encoded(hmac.new(KEY.encode(), body, hashlib.sha256).digest())).decode()


class Home:
    """`extra`: more lines for its settings; `blueprints`: a folder of automation blueprints that it is to know."""

    def __init__(self, directory: Path, broker_port: int, extra: str = "", blueprints: Path | None = None) -> None:
        self._directory, self._port = directory, free_port()
        storage = directory / ".storage"
        storage.mkdir(parents=True)
        http = f"http:\n  server_host: 127.0.0.1\n  server_port: {self._port}\n"
        (directory / "configuration.yaml").write_text(f"{http}api:\n{extra}")
        for name, minor, data in (("auth", 1, _auth()), ("core.config_entries", 5, _entries(broker_port))):
            (storage / name).write_text(json.dumps({"version": 1, "minor_version": minor, "key": name, "data": data}))
        if blueprints is not None:
            shutil.copytree(blueprints, directory / "blueprints" / "automation" / "edge-ae")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self._directory / "hass.log").read_text()

    def start(self) -> "Home":
        assert HASS is not None
        # It moves its log file aside at each start: --log-file must never be a device, which root would lose.
        command = [HASS, "-c", str(self._directory), "--skip-pip"]
        with (self._directory / "hass.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._runs, "Home Assistant", START_S)
        return self

    def _runs(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log[-2000:]
        try:
            return bool(self.ask("config")["state"] == "RUNNING")
        except OSError:  # it does not listen yet, or knows nobody yet
            time.sleep(0.2)
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def ask(self, path: str, body: Any = None) -> Any:
        """Its REST API."""
        headers = {"Authorization": f"Bearer {_bearer()}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/api/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def states(self) -> dict[str, Any]:
        """Entity -> its state."""
        return {one["entity_id"]: one["state"] for one in self.ask("states")}

    def entity(self, identity: str) -> Any:
        """State and attributes; None where there is no such entity."""
        return next((one for one in self.ask("states") if one["entity_id"] == identity), None)

    def fire(self, event: str, **data: Any) -> None:
        """An event on its bus."""
        self.ask(f"events/{event}", data)

    def call(self, service: str, entity: str, **data: Any) -> None:
        """Such as button.press, as a tap does."""
        self.ask(f"services/{service.replace('.', '/')}", {"entity_id": entity, **data})
