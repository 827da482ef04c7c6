"""The test kit shipped to users: contracts, factories, loopback servers and the simulation."""
