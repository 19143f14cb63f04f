"""What the integrations with web frameworks share: the pages, their token, warming at the start."""
