"""The live page, extra [web]: what a base's nodes have published, in a browser, and the operators' answers."""
