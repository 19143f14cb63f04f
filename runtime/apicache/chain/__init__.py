"""The provider chain: who is asked, in which order, how often, at what price."""
