"""The adapter of httpx, https://www.python-httpx.org."""

import httpx

from apicache.http.httpx_family import HttpxFamily

_family = HttpxFamily(httpx)
identify = _family.identify
identify_stream = _family.identify_stream
snapshot = _family.snapshot
replay = _family.replay
not_modified = _family.not_modified
renewed = _family.renewed
