"""The scenario format: YAML that declares calls, how they are warmed, and how they are benchmarked."""
