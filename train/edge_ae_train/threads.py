"""What the libraries under numpy are told of threads, in the environment and before they are loaded."""

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
