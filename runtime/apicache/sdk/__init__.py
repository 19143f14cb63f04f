"""What adapters of providers' SDKs share."""
