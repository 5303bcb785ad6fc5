"""The control plane: it decides what should run, on Kubernetes or on one machine."""
