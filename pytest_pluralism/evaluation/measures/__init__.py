"""The registry of measures, and the planning that all of them share."""
