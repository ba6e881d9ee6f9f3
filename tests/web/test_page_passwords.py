"""The password is kept as a salted hash, and found again."""

import pytest

from edge_ae.errors import BadConfig
from edge_ae.web.passwords import checked, hashed, matches


def test_only_the_right_one_matches_and_no_two_hashes_are_alike() -> None:
    line = hashed("correct horse")
    assert line.startswith("scrypt$16384$8$1$")
    assert "horse" not in line
    assert (matches("correct horse", line), matches("correct hors", line), matches("x" * 5_000, line)) == (
        True,
        False,
        False,
    )
    assert hashed("correct horse") != line


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1_001])
def test_one_that_is_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(BadConfig, match=r"8 to 1000|8 to 1000"):
        hashed(password)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "secret",
        "scrypt$1$2$3",
        "scrypt$16384$8$1$!$!",
        "scrypt$1073741824$8$1$YQ==$YQ==",
        "scrypt$15$8$1$YQ==$YQ==",
        "md5$16384$8$1$YQ==$YQ==",
        "scrypt$131072$1$1$YQ==$YQ==",
        "scrypt$2$131072$16$YQ==$YQ==",
    ],
)
def test_a_file_that_holds_no_hash_is_refused_without_a_word_of_it(line: str) -> None:
    with pytest.raises(BadConfig) as refused:
        checked(line)
    assert "--set-password" in str(refused.value)
    assert line == "" or line not in str(refused.value)
