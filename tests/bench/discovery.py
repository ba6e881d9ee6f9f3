"""How long it takes to announce a plant to Home Assistant: from `online` of a daemon that starts to the last announcement."""

from tests.bench import packets
from tests.bench.parts import Ear, Node, Publisher
from tests.bench.throughput import Scene
from tests.conftest import wait_for

ASSETS = 50


def announced_ms(scene: Scene, name: str) -> float:
    """Of a daemon that knows its assets from an earlier run."""
    node = Node(scene.folder, name, scene.port, scene.plant.model, homeassistant={"discovery": True, "prefix": name})
    (payload,) = scene.plant.payloads(1)
    made = [packets.publish(node.topic(f"pump-{number}"), payload, 1, number + 1) for number in range(ASSETS)]
    what = packets.write(scene.folder / f"{name}.packets", made)
    with Ear(scene.port, *node.says) as ear, node.run(ear), Publisher(scene.port, what) as publisher:
        publisher.send(0, what.count)
        node.stats(ear, used=what.count)
    with Ear(scene.port, *node.says, f"{name}/device/+/config") as ear, node.run(ear):
        wait_for(lambda: len(announcements(ear, node)) >= ASSETS + 1, "the announcements")
        return max(at_ns - node.online_ns for at_ns in announcements(ear, node)) / 1e6


def announcements(ear: Ear, node: Node) -> list[int]:
    """When each came, in ns; those of the earlier run are retained, and came before."""
    return [at_ns for at_ns, topic, _ in ear.heard if topic.endswith("/config") and at_ns > node.online_ns]
