"""With a password: nobody sees anything before the login, in a real browser, nor after the logout."""

from collections.abc import Iterator

import pytest

from edge_ae.web.passwords import hashed
from tests.conftest import MOSQUITTO, wait_for
from tests.web.scene import CHROMIUM, DRIVER, MISSING, Scene, scene

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=MISSING),
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: apt-get install mosquitto"),
]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "kept").write_text(hashed("correct horse"))
    with scene(folder, EDGE_AE_WEB__PASSWORD_FILE=str(folder / "kept")) as made:
        yield made


def log_in(play: Scene, password: str) -> None:
    field = play.browser.find_element("css selector", "input[type=password]")
    field.send_keys(password)
    play.tap("Log in")


def test_the_login_leads_to_where_one_was_going_and_the_logout_ends_it_everywhere(guarded: Scene) -> None:
    play = guarded
    play.asset("pi", "pump-0")
    play.open("/asset/pi/pump-0")
    play.shows("Password")
    assert "pump-0" not in play.text()
    log_in(play, "wrong horse")
    play.shows("This is not the password.")
    log_in(play, "correct horse")
    play.shows("normal", "[data-test=state]")
    assert play.browser.current_url.endswith("/asset/pi/pump-0")
    assert play.browser.execute_script("return document.cookie") == "", "no script can read it"
    first = play.browser.current_window_handle
    play.browser.switch_to.new_window("tab")
    play.open()
    play.shows("1 asset:")
    play.tap("Log out")
    play.shows("Password")
    play.browser.switch_to.window(first)
    wait_for(lambda: "Password" in play.text() or "not connected" in play.text(), "the other tab's end")
    play.open("/asset/pi/pump-0")
    play.shows("Password")
    play.clear()
