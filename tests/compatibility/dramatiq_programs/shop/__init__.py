"""An application of several modules, of which a worker is told one."""

from dramatiq_programs.shop import orders, stock
from dramatiq_programs.shop.setup import broker

__all__ = ["broker", "orders", "stock"]
