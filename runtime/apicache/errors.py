"""The errors apicache raises itself; what a wrapped call raises passes through untouched."""


class ApicacheError(Exception):
    """Base of every error that apicache raises."""


class InputError(ApicacheError, ValueError):
    """What the user gave is not usable: the message says what was given, what is known, what to type next."""
