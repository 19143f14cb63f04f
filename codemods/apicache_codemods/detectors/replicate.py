"""replicate: its client and the module's functions; https://github.com/replicate/replicate-python.

A run of a model named without its version goes to `/v1/models/{}/{}/predictions`; both kinds are reported as one.
"""

from apicache_codemods.detector import Argument, Constructor, Detector
from apicache_codemods.sdk_cards import requests, resources

_BASE_URL = "https://api.replicate.com"
_PATHS = {
    "run": "POST /v1/predictions",
    "stream": "POST /v1/predictions",
    **resources(
        {
            "predictions": "/v1/predictions create list get cancel",
            "trainings": "/v1/trainings create list get cancel",
            "collections": "/v1/collections list get",
            "files": "/v1/files create list get delete",
        }
    ),
    "models.list": "GET /v1/models",
    "models.get": "GET /v1/models/{}/{}",
    "models.create": "POST /v1/models",
    "models.predictions.create": "POST /v1/models/{}/{}/predictions",
    "deployments.list": "GET /v1/deployments",
    "deployments.get": "GET /v1/deployments/{}/{}",
    "deployments.create": "POST /v1/deployments",
    "deployments.predictions.create": "POST /v1/deployments/{}/{}/predictions",
    "hardware.list": "GET /v1/hardware",
    "accounts.current": "GET /v1/account",
}
_AWAITED = {
    f"{resource}{'.' if resource else ''}async_{call}": endpoint
    for name, endpoint in _PATHS.items()
    for resource, _, call in (name.rpartition("."),)
}
_CALLS = requests({**_PATHS, **_AWAITED}, (Argument("ref", 0), Argument("input", 1), "version"), awaited=_AWAITED)

DETECTOR = Detector(
    documentation="https://github.com/replicate/replicate-python",
    constructors={
        name: Constructor(base_urls={"base_url": ""}, base_url=_BASE_URL)
        for name in ("replicate.Client", "replicate.client.Client")
    },
    calls=_CALLS,
    functions={f"replicate.{call}": request for call, request in _CALLS.items()},
    kind="llm",
    base_url=_BASE_URL,
    completion="run",
)
