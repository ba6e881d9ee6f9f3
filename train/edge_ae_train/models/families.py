"""The families by their names, and which of them this installation can train. Loads none."""

from importlib.util import find_spec

LINEAR = ("cva", "pca")  # of equals, the first ships: on random plants cva ranks faults above what is normal more often
HYBRID = "hybrid"  # a linear family with a share of a network's
NEURAL = ("cae", "ae", "dae", "vae")
CONVOLUTION = "cae"  # whose network the hybrid takes a share of; denoising restored no better beside a linear family
VARIATIONAL = "vae"  # whose latent is a Gaussian's, so that rows can be made from it
FAMILIES = (*LINEAR, HYBRID, *NEURAL)  # the simplest first

MAX_LATENT = 32  # numbers that a latent has


def trainable() -> tuple[str, ...]:
    """The linear ones; and all, where there is what trains a network and writes it to a file."""
    return FAMILIES if all(find_spec(name) is not None for name in ("torch", "onnx", "onnxscript")) else LINEAR
