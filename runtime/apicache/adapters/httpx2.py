"""The adapter of httpx2, the fork of httpx that openai uses from 3.0 on, https://pypi.org/project/httpx2/."""

import httpx2

from apicache.http.httpx_family import HttpxFamily

_family = HttpxFamily(httpx2)
identify = _family.identify
identify_stream = _family.identify_stream
snapshot = _family.snapshot
replay = _family.replay
not_modified = _family.not_modified
renewed = _family.renewed
