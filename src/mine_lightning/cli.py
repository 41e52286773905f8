"""The command line: ``fit``, ``validate``, ``test``, ``predict`` of LightningCLI and ``estimate``."""
