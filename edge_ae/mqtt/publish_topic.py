"""Topics that can be published to. A response topic comes from outside: it is looked at before paho sees it, which raises."""

from edge_ae.core.topics import MAX_TOPIC_BYTES


def topic_name_fault(topic: str) -> str | None:
    """Why nothing can be published to a topic, as a clause; None: it can."""
    try:
        size = len(topic.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    faults = {
        "is empty": size == 0,
        "is too long": size > MAX_TOPIC_BYTES,
        "has a wildcard": "+" in topic or "#" in topic,
        "holds a NUL": "\0" in topic,
        "begins with $, which is the broker's own": topic.startswith("$"),
    }
    return next((fault for fault, found in faults.items() if found), None)


def response_topic_fault(topic: str, branch: str) -> str | None:
    """The same for where a command wants its answer. `branch`: what our own topics begin with.

    An answer there would be taken for a publication of our own, and who may send commands may not publish in our name.
    """
    return topic_name_fault(topic) or ("is one of our own" if topic.startswith(branch) else None)
