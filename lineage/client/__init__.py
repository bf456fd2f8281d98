"""The client of a team's server: `Client` gives what `lineage.datasets` gives, from elsewhere."""
