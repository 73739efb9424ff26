"""The parts of the benchmark that know of no engine and no model."""
