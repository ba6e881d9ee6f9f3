"""The page that asks for the password: without a script, so that its policy allows none."""

from html import escape

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>edge-ae: log in</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 20rem; margin: 15vh auto; padding: 0 1rem; }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .6rem; margin-top: .5rem; }}
[role=alert] {{ min-height: 3rem; margin-top: .5rem; }}
</style>
</head>
<body>
<h1>edge-ae</h1>
<form method="post" action="/login">
<input type="hidden" name="next" value="{target}">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1000" required autofocus>
<button type="submit">Log in</button>
<p role="alert">{fault}</p>
</form>
</body>
</html>
"""


def html(target: str, fault: str) -> str:
    """The page; `target`: the path to go to afterwards."""
    return PAGE.format(target=escape(target), fault=escape(fault))
