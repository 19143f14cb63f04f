"""Figures of benchmarks as text."""


def percent(share: float | None) -> str:
    """`78.2%`."""
    return "-" if share is None else f"{share:.1%}"


def milliseconds(value: float | None) -> str:
    """`25.56 ms`, `0.019 ms`."""
    if value is None:
        return "-"
    return f"{value:.3f} ms" if value < 1 else f"{value:,.2f} ms"


def times(factor: float | None) -> str:
    """`5,312x`."""
    return "-" if factor is None else f"{factor:,.0f}x"
