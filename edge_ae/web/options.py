"""What the page needs to know, as plain values."""

from dataclasses import dataclass, field

from edge_ae.errors import BadConfig
from edge_ae.web.served_hosts import is_loopback


@dataclass(frozen=True, slots=True)
class PageOptions:
    """Where the page is served, and to whom.

    `password`: its hash, None: nobody is asked. `names`: host names under which browsers may reach it, beside this
    machine's own. `base`: the first level of the topics.
    """

    host: str = "127.0.0.1"
    port: int = 8182
    password: str | None = field(default=None, repr=False)
    behind_proxy: bool = False
    names: tuple[str, ...] = ()
    base: str = "edge-ae"

    @property
    def url(self) -> str:
        """What to open in a browser on this machine."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    def guarded(self) -> "PageOptions":
        """The same. Raises BadConfig where others could reach a page that asks nobody for a password."""
        if self.password is None and not self.behind_proxy and not is_loopback(self.host):
            raise BadConfig(
                f"web.host: {self.host} can be reached from elsewhere, and there is no password; set password_file in [web] "
                "(edge-ae web --set-password FILE writes one), or behind_proxy = true where a proxy asks for it"
            )
        return self
