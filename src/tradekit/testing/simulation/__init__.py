"""The whole service in one seeded, simulated process: people, faults, crashes, and the invariants that must hold all the same."""

from tradekit.testing.simulation.plan import FAULTS, NO_FAULTS, FaultRates, Plan, Report, faults_named
from tradekit.testing.simulation.run import simulate

__all__ = ["FAULTS", "NO_FAULTS", "FaultRates", "Plan", "Report", "faults_named", "simulate"]
