"""The page's password as it is kept: a salted scrypt hash in one line of text. Knows no file and no page."""

import base64
import binascii
import hashlib
import hmac
import secrets

from edge_ae.errors import BadConfig

# 16 MB and some 50 ms for each guess on a small machine, as RFC 7914 has it for logging in.
COST, BLOCK, LANES = 2**14, 8, 1
MAX_MEMORY = 64 * 2**20
LONGEST = 1_000  # characters of a password
SHORTEST = 8
NAME = "scrypt"


def hashed(password: str) -> str:
    """The line that is kept. Raises BadConfig for one that is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadConfig(f"the password has {len(password)} characters; take {SHORTEST} to {LONGEST}")
    salt = secrets.token_bytes(16)
    key = _derived(password, salt, COST, BLOCK, LANES)
    return "$".join((NAME, str(COST), str(BLOCK), str(LANES), _text(salt), _text(key)))


def checked(line: str) -> str:
    """The same line. Raises BadConfig, without a word of its content, where it is no such hash, or none that can be tried."""
    try:
        matches("", line)
    except ValueError:
        raise BadConfig("holds no hashed password; edge-ae web --set-password FILE writes one") from None
    return line


def matches(password: str, line: str) -> bool:
    """Whether it is this password; takes as long for a wrong one as for the right one."""
    cost, block, lanes, salt, key = _parts(line)
    return len(password) <= LONGEST and hmac.compare_digest(_derived(password, salt, cost, block, lanes), key)


def _parts(line: str) -> tuple[int, int, int, bytes, bytes]:
    name, cost, block, lanes, salt, key = line.split("$")
    numbers = int(cost), int(block), int(lanes)
    memory = 128 * numbers[0] * numbers[1]
    power_of_two = numbers[0] > 1 and numbers[0] & (numbers[0] - 1) == 0
    if name != NAME or not power_of_two or min(numbers) < 1 or numbers[2] > 16 or memory > MAX_MEMORY // 2:
        raise ValueError("other numbers")
    try:
        return *numbers, base64.b64decode(salt, validate=True), base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error


def _derived(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(
        password.encode(errors="surrogatepass"), salt=salt, n=cost, r=block, p=lanes, maxmem=MAX_MEMORY, dklen=32
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
