"""A real Kubernetes on one machine, without Docker: control plane, one node, network. Linux and root only."""
