"""The container's half: what an inference container owes Amazon SageMaker, one check per clause."""
