"""The platform's half: what Amazon SageMaker does to an inference container."""

__version__ = "0.1.0"
