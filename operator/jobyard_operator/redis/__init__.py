"""What the control plane does in Redis: it looks at queues, sets their policies, and sees to the jobs of pods that are gone."""
