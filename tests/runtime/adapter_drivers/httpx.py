import httpx

from adapter_drivers._httpx_family import drivers_of

DRIVERS = drivers_of(httpx)
