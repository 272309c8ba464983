"""SageMaker's control plane, the pure half: what a call must say, before anything is created."""
