"""The whole service in one seeded, simulated process: people, faults, crashes, and the invariants that must hold all the same."""

from tradekit.testing.simulation.plan import NO_FAULTS, FaultRates, Plan, Report
from tradekit.testing.simulation.run import simulate

__all__ = ["NO_FAULTS", "FaultRates", "Plan", "Report", "simulate"]
