"""TLS of a connection to the broker: our certificates, and in one sentence why a handshake failed.

Certificates and host names are always verified. Of settings it knows only their names, for the person who has to
change them.
"""

import contextlib
import ssl
from typing import Any

from edge_ae.errors import BadConfig

# What OpenSSL finds wrong with the broker's certificate (X509_V_ERR_...) -> what to do; anything else: it is not trusted.
FIXES = {
    9: "set the clock here, it may be slow",  # not yet valid: the usual state of a Pi that has just started
    10: "renew it, or set the clock here",
    62: "write the name that is in the certificate into mqtt.host",
    64: "write the name that is in the certificate into mqtt.host",
}
NOT_TRUSTED = "name the authority that signed it in mqtt.ca"
# The alert to a client without a certificate: in TLS 1.3, and before.
ASKS_FOR_CERTIFICATE = ("certificate required", "handshake failure")
# A socket that does not block has nothing to read, or no room to write.
NOT_YET = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsFault(ConnectionError):
    """Why there is no TLS with the broker, with the fix."""


class TlsSocket(ssl.SSLSocket):
    """Keeps in `fault` why the connection ended.

    Since TLS 1.3 the broker looks at our certificate only after the handshake: its alert comes as an error of the next
    read, which paho takes for a connection that was lost.
    """

    fault: TlsFault | None = None

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except NOT_YET:
            raise
        except ssl.SSLError as error:
            self.fault = fault(error)
            raise

    def send(self, data: Any, flags: int = 0) -> int:
        try:
            return super().send(data, flags)
        except NOT_YET:
            raise
        except (
            ssl.SSLError,
            ConnectionError,
        ):  # the alert that the broker sent before it hung up is still there to be read
            with contextlib.suppress(OSError):
                self.recv(1)
            raise


def fault(error: OSError) -> TlsFault:
    """One sentence about the broker."""
    if isinstance(error, ssl.SSLCertVerificationError):
        found = error.verify_message.rstrip(".")
        return TlsFault(f"its certificate is refused here ({found}); {FIXES.get(error.verify_code, NOT_TRUSTED)}")
    _, _, alert = (getattr(error, "reason", None) or "").partition("_ALERT_")
    words = alert.replace("_", " ").lower()
    if words in ASKS_FOR_CERTIFICATE:
        return TlsFault(f"it asks for a certificate that it accepts ({words}); set mqtt.cert and mqtt.key")
    if words != "":
        return TlsFault(f"it does not accept our certificate ({words}); replace mqtt.cert and mqtt.key")
    return TlsFault("it does not speak TLS there; correct mqtt.port, or take out mqtt.tls")


def context(ca: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    """Our certificates, read. Raises BadConfig with one sentence where that cannot be."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.sslsocket_class = TlsSocket
    files = f"{cert}, {key}"
    try:
        if cert is not None:
            made.load_cert_chain(cert, key, password=lambda: "")  # nobody is there to be asked for a passphrase
        files = str(ca)
        if ca is not None:
            made.load_verify_locations(ca)
        else:
            made.load_default_certs()
    except OSError as error:  # ssl.SSLError is one
        raise BadConfig(f"mqtt: the certificates cannot be used ({files}): {_why_not(error)}") from None
    return made


def _why_not(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"{error.strerror}; make them readable for the user that runs edge-ae"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate; name the pair that was made together"
    return "there is no certificate or no key in it; both are PEM, and the key has no passphrase"
