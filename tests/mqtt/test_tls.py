"""TLS with certificates on both sides, against a mosquitto that asks for them: who is let in, and what the others are shown."""

import datetime
import ipaddress
import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.x509.oid import NameOID

from edge_ae import wiring
from edge_ae.cli import check
from edge_ae.config.loading import load
from edge_ae.errors import BadConfig
from edge_ae.mqtt.link import Link
from edge_ae.mqtt.tls import context
from tests.conftest import MOSQUITTO, Broker, Subscriber, free_port, wait_for
from tests.models import hand_made

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
SECRET = "hunter2-of-the-broker"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Signs certificates into a folder: NAME.crt and NAME.key."""

    folder: Path
    name: x509.Name
    key: EllipticCurvePrivateKey

    def issue(self, name: str, *names: x509.GeneralName, end: datetime.datetime = NOW + DAY) -> None:
        key = generate_private_key(SECP256R1())
        certificate = builder(common_name(name), self.name, key, end)
        if names:
            certificate = certificate.add_extension(x509.SubjectAlternativeName(names), critical=False)
        write(self.folder / name, certificate.sign(self.key, hashes.SHA256()), key)


def common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, end: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(end - 10 * DAY)
        .not_valid_after(end)
    )


def write(stem: Path, certificate: x509.Certificate, key: EllipticCurvePrivateKey) -> None:
    stem.with_suffix(".crt").write_bytes(certificate.public_bytes(PEM))
    stem.with_suffix(".key").write_bytes(key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))


def authority(folder: Path, name: str) -> Authority:
    key, subject = generate_private_key(SECP256R1()), common_name(name)
    certificate = builder(subject, subject, key, NOW + DAY).add_extension(x509.BasicConstraints(True, None), True)
    write(folder / name, certificate.sign(key, hashes.SHA256()), key)
    return Authority(folder, subject, key)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys and certificates, a model, and the password."""
    folder = tmp_path_factory.mktemp("tls")
    plant, stranger = authority(folder, "plant"), authority(folder, "stranger")
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    plant.issue("broker", here)
    plant.issue("old-broker", here, end=NOW - DAY)
    plant.issue("other-broker", x509.DNSName("broker.example"))
    plant.issue("pi")
    plant.issue("old-pi", end=NOW - DAY)
    stranger.issue("stranger-pi")
    locked = serialization.BestAvailableEncryption(SECRET.encode())
    (folder / "locked.key").write_bytes(plant.key.private_bytes(PEM, PKCS8, locked))
    (folder / "password").write_text(SECRET)
    shutil.copy(hand_made(tmp_path_factory), folder / "pump.onnx")
    return folder


@dataclass(frozen=True)
class Ports:
    """One broker: who looks on comes in plainly; each of the others shows a certificate and asks for one."""

    plain: int
    good: int
    expired: int
    elsewhere: int


@pytest.fixture(scope="module")
def ports(folder: Path) -> Iterator[Ports]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    listeners = {name: free_port() for name in ("broker", "old-broker", "other-broker")}
    extra = "".join(
        f"listener {port} 127.0.0.1\nrequire_certificate true\n"
        f"cafile {folder}/plant.crt\ncertfile {folder}/{name}.crt\nkeyfile {folder}/{name}.key\n"
        for name, port in listeners.items()
    )
    running = Broker(folder, extra).start()
    yield Ports(running.port, *listeners.values())
    running.close()


def settings(folder: Path, port: int, ca: str = "plant", client: str | None = "pi", tls: bool = True) -> Path:
    config = folder / "edge-ae.toml"
    pair = "" if client is None else f'cert = "{client}.crt"\nkey = "{client}.key"\n'
    config.write_text(
        f'node = "n1"\nstate_dir = "state"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        f'username = "edge-ae"\npassword_file = "password"\n'
        + (f'tls = true\nca = "{ca}.crt"\n{pair}' if tls else "")
        + '[[streams]]\ntopic = "plant/{asset}/t"\ntime = "ts"\nmodel = "pump.onnx"\n'
        "[publish]\nstats_interval_s = 1\n"
    )
    return config


def secrets(folder: Path) -> list[str]:
    """The password, and each line of the client's private key."""
    return [SECRET, *(folder / "pi.key").read_text().splitlines()[1:-1]]


def edge_ae(command: str, config: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "edge_ae", command, "--config", str(config)], stdout=file, stderr=file
        )


def test_with_the_right_certificates_readings_come_in_and_no_secret_goes_out(
    folder: Path, ports: Ports, tmp_path: Path
) -> None:
    config, log = settings(folder, ports.good), tmp_path / "log"
    onlooker = Subscriber(ports.plain, "#")
    daemon = edge_ae("run", config, log)
    wait_for(lambda: "ready" in log.read_text(), "READY")
    asked = Path(f"/proc/{daemon.pid}/cmdline").read_text() + Path(f"/proc/{daemon.pid}/environ").read_text()
    rows = [{"ts": 1_795_435_200 + second, "flow": 5.0, "pressure": 2.5} for second in range(8)]
    onlooker.publish_all("plant/p1/t", rows)
    wait_for(lambda: onlooker.on("p1/score"), "a score")
    onlooker.publish("plant/p1/t", SECRET[:7])  # is not JSON, and is logged
    wait_for(lambda: (onlooker.last("n1/stats") or {}).get("used") == 8, "the counters")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(15) == 0
    onlooker.close()
    assert "connected to the broker" in log.read_text()
    shown = [log.read_text(), asked, *(repr((m.topic, m.payload)) for m in onlooker.messages)]
    assert [secret for secret in secrets(folder) for text in shown if secret in text] == []


@dataclass(frozen=True)
class Wrong:
    port: str = "good"
    ca: str = "plant"
    client: str | None = "pi"


CASES = {
    "wrong authority": (Wrong(ca="stranger"), "name the authority that signed it in mqtt.ca"),
    "no certificate of ours": (Wrong(client=None), "it asks for a certificate that it accepts"),
    "certificate of another authority": (Wrong(client="stranger-pi"), "it does not accept our certificate (unknown ca)"),
    "expired certificate of ours": (Wrong(client="old-pi"), "it does not accept our certificate (certificate expired)"),
    "expired certificate of the broker": (Wrong(port="expired"), "(certificate has expired); renew it"),
    "certificate for another host": (Wrong(port="elsewhere"), "write the name that is in the certificate into mqtt.host"),
    "no TLS there": (Wrong(port="plain"), "it does not speak TLS there; correct mqtt.port"),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "sentence"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_one_sentence_of_daemon_and_check(
    folder: Path, ports: Ports, wrong: Wrong, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = load(settings(folder, getattr(ports, wrong.port), wrong.ca, wrong.client))
    where = f"the broker at 127.0.0.1:{found.mqtt.tcp_port}"
    (checked,) = check.check_broker(found)
    assert checked.startswith(f"mqtt: {where}")
    caplog.set_level(logging.DEBUG)
    link = Link(wiring.link_options(found))
    link.start([("plant/#", 1)])
    wait_for(lambda: caplog.records, "a word about it")
    link.stop()
    (record,) = caplog.records
    assert record.getMessage().startswith(where)
    assert record.exc_info is None
    for shown in (checked, record.getMessage()):
        assert sentence in shown
        assert "\n" not in shown
        assert [secret for secret in secrets(folder) if secret in shown] == []


def test_run_that_is_refused_goes_on_trying_and_logs_it_once(folder: Path, ports: Ports, tmp_path: Path) -> None:
    log = tmp_path / "log"
    daemon = edge_ae("run", settings(folder, ports.good, client=None), log)
    wait_for(lambda: "it asks for a certificate" in log.read_text(), "the reason")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(15) == 0
    assert log.read_text().count("it asks for a certificate") == 1
    assert "Traceback" not in log.read_text()


def test_check_without_tls_where_the_broker_wants_it_guesses_so(folder: Path, ports: Ports) -> None:
    (checked,) = check.check_broker(load(settings(folder, ports.good, tls=False)))
    assert "does it ask for tls there" in checked


@pytest.mark.parametrize(
    ("ca", "cert", "key", "sentence"),
    [
        ("plant.crt", "pi.crt", "old-pi.key", "the key is not that of the certificate"),
        ("plant.crt", "pi.crt", "locked.key", "the key has no passphrase"),
        ("plant.crt", "password", "pi.key", "there is no certificate or no key in it"),
        ("password", "pi.crt", "pi.key", "there is no certificate or no key in it"),
        ("plant.crt", "pi.crt", "none.key", "No such file or directory; make them readable"),
    ],
)
def test_files_that_are_no_certificates_are_refused_without_a_question(
    folder: Path, ca: str, cert: str, key: str, sentence: str
) -> None:
    with pytest.raises(BadConfig) as refused:
        context(str(folder / ca), str(folder / cert), str(folder / key))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert SECRET not in str(refused.value)
