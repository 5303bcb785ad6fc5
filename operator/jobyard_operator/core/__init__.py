"""What the control plane decides, pure: values in, values out. Time, Redis and Kubernetes are elsewhere."""
